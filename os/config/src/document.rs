//! A configuration document: its text, its value, and the location of each key in the text.

use std::path::Path;

use serde_yaml::{Mapping, Value};

use crate::tree::Node;
use crate::{SchemaError, merge, verbatim};

/// A configuration document.
#[derive(Debug, Clone)]
pub struct Document {
    /// The path of the file, or a name that stands for the source.
    pub name: String,
    /// The text.
    pub text: String,
    /// The value, normalized for merging.
    pub value: Value,
}

/// An error in a document or on the kernel command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {}", self.description())]
pub struct Problem {
    /// `FILE:LINE:COLUMN`, or the kernel argument.
    pub location: String,
    /// The keys of the kernel argument; `None` if the problem is in a document.
    pub argument: Option<Vec<String>>,
    /// The last key of the path to the invalid value; empty if the problem is not about a value.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What happens to the invalid value.
    pub consequence: Consequence,
}

/// What happens to an invalid value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing yet: the document was only checked, or the value was corrected.
    None,
    /// The value is ignored.
    Ignored,
    /// The last good document is in use instead of the document.
    LastGoodApplies,
}

impl Problem {
    /// A problem without a consequence.
    pub fn new(location: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self {
            location: location.into(),
            argument: None,
            key: String::new(),
            message: message.to_string(),
            consequence: Consequence::None,
        }
    }

    /// The message with the consequence, without the location.
    pub fn description(&self) -> String {
        let message = &self.message;
        match self.consequence {
            Consequence::None => message.clone(),
            Consequence::Ignored => format!("ignored: {message}"),
            Consequence::LastGoodApplies => format!(
                "{message}; the last good document applies; hint: fix this one with \
                 `sudo rancherctl config edit`"
            ),
        }
    }
}

impl Document {
    /// Parses a text.
    ///
    /// # Errors
    /// The text is not YAML, or not a mapping.
    pub fn parse(name: &str, text: String) -> Result<Self, Problem> {
        let text = without_byte_order_mark(text);
        let value = match verbatim::parse(&text) {
            Ok(Value::Null) => Mapping::new(),
            Ok(Value::Mapping(value)) => value,
            Ok(_) => {
                let message =
                    "the document must be a mapping; hint: write lines such as `hostname: box`";
                return Err(Problem::new(format!("{name}:1"), message));
            }
            Err(error) => {
                let location = match error.location() {
                    Some(at) => format!("{name}:{}:{}", at.line(), at.column()),
                    None => name.to_owned(),
                };
                return Err(Problem::new(location, error));
            }
        };
        Ok(Self {
            name: name.into(),
            text,
            value: normalized(Value::Mapping(value)),
        })
    }

    /// Reads a file. Returns `None` if the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read or parsed; see [`Document::parse`].
    pub fn read(path: &Path) -> Result<Option<Self>, Problem> {
        let name = path.to_string_lossy();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Problem::new(name, error)),
        }
    }

    /// `FILE:LINE:COLUMN` of the key at a path, or of its nearest parent in the text.
    pub fn location(&self, path: &[String]) -> String {
        let byte = Node::of(&self.text).and_then(|root| {
            root.position(path)
                .or_else(|| root.entry("rancher")?.value.position(path))
        });
        let Some(byte) = byte else {
            return self.name.clone();
        };
        let before = &self.text[..byte];
        let line = before.matches('\n').count() + 1;
        let column = before
            .chars()
            .rev()
            .take_while(|&letter| letter != '\n')
            .count()
            + 1;
        format!("{}:{line}:{column}", self.name)
    }

    /// A schema error of this document, with its location.
    pub fn problem(&self, error: &SchemaError) -> Problem {
        Problem {
            key: error.path.last().cloned().unwrap_or_default(),
            ..Problem::new(self.location(&error.path), error)
        }
    }
}

/// The line of the key or item at a path, or of its nearest parent in the text. The first line is 1.
pub fn line(text: &str, path: &[String]) -> Option<usize> {
    let byte = Node::of(text)?.position(path)?;
    Some(text[..byte].matches('\n').count() + 1)
}

/// Removes the byte order mark that Windows editors write; it is not part of the YAML.
pub(crate) fn without_byte_order_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// Converts a layer to the form in which layers are merged:
///
/// - keys below `rancher:`, as in a cloud-config, move to the top level;
/// - a list of name servers becomes a mapping with the key `nameservers`;
/// - the key of a kernel setting is its whole dotted name;
/// - keys without a value are removed.
pub(crate) fn normalized(mut value: Value) -> Value {
    drop_nulls(&mut value);
    if let Value::Mapping(entries) = &mut value
        && let Some(inner @ Value::Mapping(_)) = entries.shift_remove("rancher")
    {
        let outer = std::mem::replace(&mut value, inner);
        merge(&mut value, &outer);
    }
    if let Some(sysctl @ Value::Mapping(_)) = value.get_mut("sysctl") {
        let names = flattened(&std::mem::replace(sysctl, Value::Null));
        *sysctl = Value::Mapping(names);
    }
    if let Some(dns @ Value::Sequence(_)) = value.get_mut("dns") {
        let servers = std::mem::replace(dns, Value::Null);
        *dns = Value::Mapping(Mapping::from_iter([("nameservers".into(), servers)]));
    }
    value
}

/// Joins nested keys with dots: the kernel command line yields nested mappings, documents dotted names.
fn flattened(value: &Value) -> Mapping {
    let entries = value.as_mapping().into_iter().flatten();
    let entries = entries.flat_map(|(key, value)| match value {
        Value::Mapping(_) => {
            let outer = key.as_str().unwrap_or("?");
            let inner = flattened(value).into_iter();
            let inner = inner.map(|(key, value)| {
                let name = format!("{outer}.{}", key.as_str().unwrap_or("?"));
                (Value::from(name), value)
            });
            inner.collect::<Vec<_>>()
        }
        _ => vec![(key.clone(), value.clone())],
    });
    entries.collect()
}

fn drop_nulls(value: &mut Value) {
    if let Value::Mapping(entries) = value {
        entries.retain(|_, inner| !inner.is_null());
        entries.values_mut().for_each(drop_nulls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::parse("F", text.into()).unwrap()
    }

    #[test]
    fn locations_match_the_lines_and_columns_of_an_editor() {
        let document =
            document("# é\nstate:\n  dev: x\nmodules: [a, 7]\nrancher:\n  password: x\n");
        let location = |path: &str| document.location(&crate::path::parse(path).unwrap());
        assert_eq!(location("state.dev"), "F:3:3");
        assert_eq!(location("state.nothing"), "F:2:1");
        assert_eq!(location("modules.1"), "F:4:14");
        assert_eq!(location("password"), "F:6:3");
        assert_eq!(location("nothing"), "F");
    }

    #[test]
    fn keys_below_rancher_move_to_the_top_level() {
        let document = document("rancher: {dns: [a], hostname: x}\nhostname: y\nmodules:\n");
        let wanted = "dns: {nameservers: [a]}\nhostname: y";
        assert_eq!(
            document.value,
            serde_yaml::from_str::<Value>(wanted).unwrap()
        );
    }

    #[test]
    fn parse_error_has_the_line() {
        let location = |text: &str| Document::parse("F", text.into()).unwrap_err().location;
        assert_eq!(location("a: b\nc: [\n"), "F:3:1");
        assert_eq!(location("a: 1\nb: 2\na: 3\n"), "F:1:1");
        assert_eq!(location("- a\n"), "F:1");
        assert_eq!(document("\u{feff}hostname: x\n").text, "hostname: x\n");
    }
}
