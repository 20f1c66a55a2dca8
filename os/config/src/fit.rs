//! Whether a document fits the schema, and what exactly does not: the path of the value, what would
//! be right there, and the known key that is nearest to an unknown one.
//!
//! The schema are the types of [`crate::Config`]; this is a deserializer for them that remembers what
//! they asked for.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_yaml::Value;

use crate::{Config, elsewhere, hostname, path, sysctl, written};

/// A value that does not fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// Its keys, outermost first; an item of a list is its number.
    pub path: Vec<String>,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// There is no such key; these there are.
    Unknown(&'static [&'static str]),
    /// It is of another kind than what belongs there.
    Kind {
        /// What belongs there.
        wants: String,
        /// What is there, where that is a word.
        is: Option<String>,
    },
    /// What the types have to say besides.
    Other(String),
    /// It is of the right kind, and is none of what belongs there; the rest is as good as it was.
    Senseless(String),
}

/// The configuration that a whole document stands for.
///
/// # Errors
/// The first value that does not fit.
pub fn fit(document: &Value) -> Result<Config, Misfit> {
    let config: Config = read(document)?;
    let senseless = |path: &[&str], why: String| Misfit {
        path: path.iter().map(|key| (*key).to_owned()).collect(),
        why: Why::Senseless(why),
    };
    let name = &config.hostname;
    if hostname::fitted(name).is_none() {
        let why = format!(
            "`{}` is no host name; hint: use letters, digits and hyphens, joined by dots",
            name.escape_default()
        );
        return Err(senseless(&["hostname"], why));
    }
    let mut settings = config.sysctl.keys();
    if let Some(name) = settings.find(|name| sysctl::file(name).is_none()) {
        let why = "it is no kernel setting; hint: write a name such as `vm.max_map_count`";
        return Err(senseless(&["sysctl", name], why.into()));
    }
    Ok(config)
}

/// Whether the configuration has this key.
pub fn is_key(name: &str) -> bool {
    let mut document = crate::defaults();
    let at = [name.to_owned()];
    path::put(&mut document, &at, Value::Null);
    let misfit = fit(&document).err();
    !misfit.is_some_and(|misfit| misfit.path == at && matches!(misfit.why, Why::Unknown(_)))
}

/// A part of a document, by the same rules.
pub(crate) fn read<'de, T: Deserialize<'de>>(part: &'de Value) -> Result<T, Misfit> {
    T::deserialize(Node(part))
}

impl Misfit {
    /// Whether all else that a document says is as good as without it.
    pub(crate) fn is_minor(&self) -> bool {
        matches!(self.why, Why::Unknown(_) | Why::Senseless(_))
    }

    fn new(why: Why) -> Self {
        let path = Vec::new();
        Self { path, why }
    }

    fn wants(wants: &str, value: &Value) -> Self {
        Self::new(Why::Kind {
            wants: wants.into(),
            is: word(value),
        })
    }

    fn below(mut self, key: String) -> Self {
        self.path.insert(0, key);
        self
    }
}

impl std::error::Error for Misfit {}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = path::join(&self.path);
        match &self.why {
            Why::Unknown(known) => {
                if let Some(instead) = elsewhere::instead(&key) {
                    return write!(f, "there is no key `{key}`; hint: {instead}");
                }
                let last = self.path.last().map_or("", String::as_str);
                match nearest(last, known) {
                    Some(near) => {
                        let parent = &self.path[..self.path.len().saturating_sub(1)];
                        let meant = path::join(&[parent, &[near.to_owned()]].concat());
                        write!(f, "there is no key `{key}`; did you mean `{meant}`?")
                    }
                    None => write!(f, "there is no key `{key}`; there are {}", known.join(", ")),
                }
            }
            Why::Kind { wants, is } => {
                write!(f, "`{key}` must be {wants}")?;
                // What is wrong about a secret is said without it.
                match is.as_ref().filter(|_| !path::is_private(&self.path)) {
                    Some(word) if wants == "a list" => write!(f, ", as in `[{word}]`"),
                    Some(word) if wants == "text" => write!(f, ", as in `'{word}'`"),
                    Some(word) => write!(f, ", and `{word}` is not"),
                    None => Ok(()),
                }
            }
            Why::Other(why) | Why::Senseless(why) => write!(f, "`{key}`: {why}"),
        }
    }
}

/// The known key that somebody may have meant.
pub fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&plain(key), &plain(other));
    let near = known.iter().copied().min_by_key(|other| distance(other))?;
    (distance(near) <= 1 + key.len() / 4).then_some(near)
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if !text.contains('\n') => Some(text.clone()),
        _ => None,
    }
}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Why::Other(text.to_string()))
    }

    fn invalid_type(is: Unexpected<'_>, wants: &dyn Expected) -> Self {
        let is = match is {
            Unexpected::Str(text) => Some(text.to_owned()),
            Unexpected::Signed(number) => Some(number.to_string()),
            Unexpected::Unsigned(number) => Some(number.to_string()),
            Unexpected::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        let wants = wants.to_string();
        Self::new(Why::Kind { wants, is })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(Why::Unknown(known)).below(key.into())
    }
}

/// A scalar as YAML reads it, that was kept as it is written.
fn again(value: &Value) -> Value {
    let text = value.as_str();
    let read = text.and_then(|text| serde_yaml::from_str(text).ok());
    read.unwrap_or_else(|| value.clone())
}

/// A value about to be read.
struct Node<'de>(&'de Value);

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
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

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match again(self.0).as_bool() {
            Some(flag) => visitor.visit_bool(flag),
            None => Err(Misfit::wants("`true` or `false`", self.0)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match (self.0, written::scalar(self.0)) {
            (Value::String(text), _) => visitor.visit_borrowed_str(text),
            // A key that is text takes it as it is written.
            (_, Some(text)) => visitor.visit_string(text),
            (other, None) => Err(Misfit::wants("text", other)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match again(self.0).as_u64() {
            Some(number) => visitor.visit_u64(number),
            None => Err(Misfit::wants("a number", self.0)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Sequence(_) => self.deserialize_any(visitor),
            other => Err(Misfit::wants("a list", other)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Mapping(_) => self.deserialize_any(visitor),
            other => Err(Misfit::wants("a mapping of keys to values", other)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Mapping(_) => self.deserialize_any(visitor),
            other => {
                let wants = format!("a mapping with keys such as {}", known.join(", "));
                Err(Misfit::wants(&wants, other))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            other => Err(Misfit::wants(
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

/// Items of a list that are left to read.
struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        let Some((number, item)) = self.0.next() else {
            return Ok(None);
        };
        let read = seed.deserialize(Node(item)).map(Some);
        read.map_err(|misfit| misfit.below(number.to_string()))
    }
}

/// Entries of a mapping that are left to read.
struct Entries<'de> {
    entries: serde_yaml::mapping::Iter<'de>,
    value: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        let Some(key) = key.as_str() else {
            let shown = word(key).unwrap_or_else(|| "?".into());
            return Err(Misfit::wants("text", key).below(shown));
        };
        self.value = Some((key, value));
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let (key, value) = self.value.take().unwrap_or(("?", &Value::Null));
        let read = seed.deserialize(Node(value));
        read.map_err(|misfit| misfit.below(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about the defaults with `layer` on top.
    fn said(layer: &str) -> String {
        let mut document = crate::layers::defaults();
        crate::merge(&mut document, &serde_yaml::from_str(layer).unwrap());
        fit(&document).map_or_else(|misfit| misfit.to_string(), |_| "fits".into())
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
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
        let said: Vec<_> = layers
            .map(|layer| format!("{layer} -> {}", said(layer)))
            .into();
        insta::assert_snapshot!(said.join("\n"));
    }
}
