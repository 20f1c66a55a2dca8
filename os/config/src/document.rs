//! One document as somebody wrote it: its text, what it says, and where it says it.

use std::path::Path;

use serde_yaml::{Mapping, Value};

use crate::tree::Node;
use crate::{Misfit, merge, written};

/// A document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Where it comes from: a file's path, or what stands for it.
    pub name: String,
    /// As it is written.
    pub text: String,
    /// What it says, in the form that layers are merged in.
    pub value: Value,
}

/// Something in a document, or on the kernel command line, that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}{so}")]
pub struct Problem {
    /// `FILE:LINE:COLUMN`, or the kernel argument.
    pub place: String,
    /// The key whose value is wrong, without those that it stands under; empty where it is no value.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
    /// What came of it, after `; `; empty where nothing did.
    pub so: &'static str,
}

impl Problem {
    /// A problem of which nothing came yet.
    pub fn new(place: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self {
            place: place.into(),
            key: String::new(),
            why: why.to_string(),
            so: "",
        }
    }
}

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    /// It is no YAML, or no mapping.
    pub fn parse(name: &str, text: String) -> Result<Self, Problem> {
        let text = without_mark(text);
        let value = match written::read(&text) {
            Ok(Value::Null) => Mapping::new(),
            Ok(Value::Mapping(value)) => value,
            Ok(_) => {
                let why = "it must be a mapping, lines such as `hostname: box`";
                return Err(Problem::new(format!("{name}:1"), why));
            }
            Err(error) => {
                let place = match error.location() {
                    Some(at) => format!("{name}:{}:{}", at.line(), at.column()),
                    None => name.to_owned(),
                };
                return Err(Problem::new(place, error));
            }
        };
        Ok(Self {
            name: name.into(),
            text,
            value: layer(Value::Mapping(value)),
        })
    }

    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or see [`Document::parse`].
    pub fn read(path: &Path) -> Result<Option<Self>, Problem> {
        let name = path.to_string_lossy();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Problem::new(name, error)),
        }
    }

    /// `FILE:LINE:COLUMN` of the key at a path, or of the nearest that it stands under.
    pub fn place(&self, path: &[String]) -> String {
        let byte = Node::of(&self.text).and_then(|root| {
            let below = || root.entry("rancher")?.value.place(path);
            root.place(path).or_else(below)
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

    /// A misfit, with its place.
    pub fn problem(&self, misfit: &Misfit) -> Problem {
        Problem {
            key: misfit.path.last().cloned().unwrap_or_default(),
            ..Problem::new(self.place(&misfit.path), misfit)
        }
    }
}

/// The line of the key or item at a path in a text, or of the nearest that it stands under; the first
/// is 1.
pub fn line(text: &str, path: &[String]) -> Option<usize> {
    let byte = Node::of(text)?.place(path)?;
    Some(text[..byte].matches('\n').count() + 1)
}

/// A text without the mark that editors of Windows begin it with: it is no part of the YAML.
pub(crate) fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// A layer in the form in which all are merged: what stands below `rancher:`, as in a cloud-config, is
/// the document's own; a list of name servers is the long form of it; a kernel setting has its whole name as its key; a
/// key without a value is not there.
pub(crate) fn layer(mut value: Value) -> Value {
    drop_nulls(&mut value);
    if let Value::Mapping(entries) = &mut value
        && let Some(inner @ Value::Mapping(_)) = entries.shift_remove("rancher")
    {
        let outer = std::mem::replace(&mut value, inner);
        merge(&mut value, &outer);
    }
    if let Some(sysctl @ Value::Mapping(_)) = value.get_mut("sysctl") {
        let names = flat(&std::mem::replace(sysctl, Value::Null));
        *sysctl = Value::Mapping(names);
    }
    if let Some(dns @ Value::Sequence(_)) = value.get_mut("dns") {
        let servers = std::mem::replace(dns, Value::Null);
        *dns = Value::Mapping(Mapping::from_iter([("nameservers".into(), servers)]));
    }
    value
}

/// Names with dots, whether they are written so or as mappings, as the kernel command line has them.
fn flat(value: &Value) -> Mapping {
    let entries = value.as_mapping().into_iter().flatten();
    let entries = entries.flat_map(|(key, value)| match value {
        Value::Mapping(_) => {
            let outer = key.as_str().unwrap_or("?");
            let inner = flat(value).into_iter();
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
    fn places_are_those_that_an_editor_shows() {
        let document =
            document("# é\nstate:\n  dev: x\nmodules: [a, 7]\nrancher:\n  password: x\n");
        let place = |path: &str| document.place(&crate::path::parse(path).unwrap());
        assert_eq!(place("state.dev"), "F:3:3");
        assert_eq!(place("state.nothing"), "F:2:1");
        assert_eq!(place("modules.1"), "F:4:14");
        assert_eq!(place("password"), "F:6:3");
        assert_eq!(place("nothing"), "F");
    }

    #[test]
    fn what_stands_below_rancher_is_the_documents_own() {
        let document = document("rancher: {dns: [a], hostname: x}\nhostname: y\nmodules:\n");
        let wanted = "dns: {nameservers: [a]}\nhostname: y";
        assert_eq!(
            document.value,
            serde_yaml::from_str::<Value>(wanted).unwrap()
        );
    }

    #[test]
    fn what_is_no_document_is_told_with_its_line() {
        let wrong = |text: &str| Document::parse("F", text.into()).unwrap_err().place;
        assert_eq!(wrong("a: b\nc: [\n"), "F:3:1");
        assert_eq!(wrong("a: 1\nb: 2\na: 3\n"), "F:1:1");
        assert_eq!(wrong("- a\n"), "F:1");
        assert_eq!(document("\u{feff}hostname: x\n").text, "hostname: x\n");
    }
}
