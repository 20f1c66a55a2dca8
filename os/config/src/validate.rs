//! Validates a document against the schema. An error has the path of the value, what is expected there,
//! and the known key that is most similar to an unknown one.
//!
//! The types below [`crate::Config`] are the schema. This module has a deserializer for them that
//! records what they expect.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_yaml::Value;

use crate::{Config, hostname, path, sysctl, unsupported_keys, verbatim};

/// A value that does not match the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaError {
    /// The keys to the value, outermost first; an item of a list is its index.
    pub path: Vec<String>,
    /// What is wrong with the value.
    pub kind: SchemaErrorKind,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq)]
pub enum SchemaErrorKind {
    /// The schema has no such key; these are the known keys.
    UnknownKey(&'static [&'static str]),
    /// The value has the wrong type.
    WrongType {
        /// What the schema expects.
        expected: String,
        /// The value, if it is a scalar on one line.
        found: Option<String>,
    },
    /// Another error of a type of the schema.
    Custom(String),
    /// The type is right and the value is not valid. Other keys are not affected.
    InvalidValue(String),
}

/// Validates a whole document and returns its configuration.
///
/// # Errors
/// The first value that does not match the schema.
pub fn validate(document: &Value) -> Result<Config, SchemaError> {
    let config: Config = deserialize(document)?;
    let name = &config.hostname;
    if hostname::truncated(name).is_none() {
        let message = format!(
            "`{}` is not a host name; hint: use letters, digits and hyphens, joined by dots",
            name.escape_default()
        );
        return Err(SchemaError::invalid_value(&["hostname"], message));
    }
    let mut settings = config.sysctl.keys();
    if let Some(name) = settings.find(|name| sysctl::file(name).is_none()) {
        let message = "not a kernel setting; hint: write a name such as `vm.max_map_count`";
        return Err(SchemaError::invalid_value(
            &["sysctl", name],
            message.into(),
        ));
    }
    Ok(config)
}

/// Deserializes a part of a document by the same rules.
pub(crate) fn deserialize<'de, T: Deserialize<'de>>(part: &'de Value) -> Result<T, SchemaError> {
    T::deserialize(Node(part))
}

impl SchemaError {
    /// Whether the error does not affect the other keys of the document.
    pub(crate) fn is_minor(&self) -> bool {
        matches!(
            self.kind,
            SchemaErrorKind::UnknownKey(_) | SchemaErrorKind::InvalidValue(_)
        )
    }

    fn new(kind: SchemaErrorKind) -> Self {
        let path = Vec::new();
        Self { path, kind }
    }

    fn invalid_value(path: &[&str], message: String) -> Self {
        Self {
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            kind: SchemaErrorKind::InvalidValue(message),
        }
    }

    fn wrong_type(expected: &str, value: &Value) -> Self {
        Self::new(SchemaErrorKind::WrongType {
            expected: expected.into(),
            found: scalar(value),
        })
    }

    fn below(mut self, key: String) -> Self {
        self.path.insert(0, key);
        self
    }
}

impl std::error::Error for SchemaError {}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = path::join(&self.path);
        match &self.kind {
            SchemaErrorKind::UnknownKey(known) => {
                let hint = unknown_key_hint(&self.path, known);
                write!(f, "unknown key `{key}`; hint: {hint}")
            }
            SchemaErrorKind::WrongType { expected, found } => {
                write!(f, "`{key}` must be {expected}")?;
                // Secrets are not printed.
                match found.as_ref().filter(|_| !path::is_private(&self.path)) {
                    Some(found) if expected == "a list" => write!(f, ", as in `[{found}]`"),
                    Some(found) if expected == "text" => write!(f, ", as in `'{found}'`"),
                    Some(found) => write!(f, ", not `{found}`"),
                    None => Ok(()),
                }
            }
            SchemaErrorKind::Custom(message) | SchemaErrorKind::InvalidValue(message) => {
                write!(f, "`{key}`: {message}")
            }
        }
    }
}

fn unknown_key_hint(path: &[String], known: &[&str]) -> String {
    if let Some(replacement) = unsupported_keys::replacement(&path::join(path)) {
        return replacement.into();
    }
    let Some((last, parent)) = path.split_last() else {
        return format!("use one of {}", known.join(", "));
    };
    match nearest(last, known) {
        Some(near) => {
            let meant = path::join(&[parent, &[near.to_owned()]].concat());
            format!("did you mean `{meant}`?")
        }
        None => format!("use one of {}", known.join(", ")),
    }
}

/// The known key that is most similar to a misspelled one, if any is similar enough.
pub fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&plain(key), &plain(other));
    let near = known.iter().copied().min_by_key(|other| distance(other))?;
    (distance(near) <= 1 + key.len() / 4).then_some(near)
}

/// A scalar on one line as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if !text.contains('\n') => Some(text.clone()),
        _ => None,
    }
}

impl serde::de::Error for SchemaError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(SchemaErrorKind::Custom(text.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Str(text) => Some(text.to_owned()),
            Unexpected::Signed(number) => Some(number.to_string()),
            Unexpected::Unsigned(number) => Some(number.to_string()),
            Unexpected::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        let expected = expected.to_string();
        Self::new(SchemaErrorKind::WrongType { expected, found })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(SchemaErrorKind::UnknownKey(known)).below(key.into())
    }
}

/// Parses a scalar whose text `verbatim` preserved as YAML would.
fn parsed(value: &Value) -> Value {
    let text = value.as_str();
    let read = text.and_then(|text| serde_yaml::from_str(text).ok());
    read.unwrap_or_else(|| value.clone())
}

/// A value to deserialize.
struct Node<'de>(&'de Value);

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = SchemaError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SchemaError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Sequence(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Mapping(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
            }),
            Value::Tagged(tagged) => Node(&tagged.value).deserialize_any(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SchemaError> {
        match parsed(self.0).as_bool() {
            Some(flag) => visitor.visit_bool(flag),
            None => Err(SchemaError::wrong_type("`true` or `false`", self.0)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SchemaError> {
        match (self.0, verbatim::scalar(self.0)) {
            (Value::String(text), _) => visitor.visit_borrowed_str(text),
            // A key of type text accepts other scalars as text.
            (_, Some(text)) => visitor.visit_string(text),
            (other, None) => Err(SchemaError::wrong_type("text", other)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SchemaError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SchemaError> {
        match parsed(self.0).as_u64() {
            Some(number) => visitor.visit_u64(number),
            None => Err(SchemaError::wrong_type("a number", self.0)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SchemaError> {
        match self.0 {
            Value::Sequence(_) => self.deserialize_any(visitor),
            other => Err(SchemaError::wrong_type("a list", other)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SchemaError> {
        match self.0 {
            Value::Mapping(_) => self.deserialize_any(visitor),
            other => Err(SchemaError::wrong_type(
                "a mapping of keys to values",
                other,
            )),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SchemaError> {
        match self.0 {
            Value::Mapping(_) => self.deserialize_any(visitor),
            other => {
                let expected = format!("a mapping with keys such as {}", known.join(", "));
                Err(SchemaError::wrong_type(&expected, other))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SchemaError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, SchemaError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SchemaError> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            other => Err(SchemaError::wrong_type(
                &format!("one of {}", variants.join(", ")),
                other,
            )),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

/// The remaining items of a list.
struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = SchemaError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, SchemaError> {
        let Some((number, item)) = self.0.next() else {
            return Ok(None);
        };
        let read = seed.deserialize(Node(item)).map(Some);
        read.map_err(|error| error.below(number.to_string()))
    }
}

/// The remaining entries of a mapping.
struct Entries<'de> {
    entries: serde_yaml::mapping::Iter<'de>,
    value: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = SchemaError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, SchemaError> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        let Some(key) = key.as_str() else {
            let shown = scalar(key).unwrap_or_else(|| "?".into());
            return Err(SchemaError::wrong_type("text", key).below(shown));
        };
        self.value = Some((key, value));
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, SchemaError> {
        let (key, value) = self.value.take().unwrap_or(("?", &Value::Null));
        let read = seed.deserialize(Node(value));
        read.map_err(|error| error.below(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of the defaults with `layer` merged into them.
    fn result(layer: &str) -> String {
        let mut document = crate::layers::defaults();
        crate::merge(&mut document, &serde_yaml::from_str(layer).unwrap());
        validate(&document).map_or_else(|error| error.to_string(), |_| "valid".into())
    }

    #[test]
    fn schema_error_says_what_is_expected() {
        let layers = [
            "dns: 8.8.8.8",
            "dns: [8.8.8.8]",
            "dns: {nameserver: [8.8.8.8]}",
            "modules: loop",
            "modules: [loop, [7]]",
            "hostname: [a]",
            "hostname: my box",
            "hostname: ''",
            "sysctl: {vm..x: 1}",
            "hostnam: a",
            "enabled_addons: [a]",
            "zzz: a",
            "state: 3",
            "state: {required: maybe}",
            "state: {requird: true}",
            "userdocker: {tls_server_key: [12]}",
            "network: {interfaces: {eth0: {mtu: big}}}",
            "network: {interfaces: {eth0: {dhpc: true}}}",
            "network: {interfaces: {eth0: {address: 10.0.0.2}}}",
            "network: {interfaces: {eth0: {address: [10.0.0.2/24, 7]}}}",
            "network: {interfaces: {eth0: {gateway: 10.0.0.1/24}}}",
            "network: {interfaces: {br0: {bridge: [eth0]}}}",
            "environment: {A: [1]}",
            "ssh: {port: 0}",
            "ssh: {port: 70000}",
            "ssh: {port: ssh}",
            "ssh: {passwords: sometimes}",
            "ssh: {allow: [10.0.0.0/40]}",
            "timezone: ../etc",
            "services: {mine: {comand: [a]}}",
            "1: a",
        ];
        let results: Vec<_> = layers
            .map(|layer| format!("{layer} -> {}", result(layer)))
            .into();
        insta::assert_snapshot!(results.join("\n"));
    }
}
