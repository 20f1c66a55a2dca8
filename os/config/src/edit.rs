//! Changes to the text of a document: only what is changed is written anew, comments and order stay.
//!
//! Each edit is checked: its text must read as the old document with that one value changed, or there
//! is no edit.

use std::ops::Range;

use serde_yaml::{Mapping, Value};

use crate::path;
use crate::tree::{Entry, Kind, Node};

/// Why a text was not edited.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no YAML.
    #[error("{0}")]
    Yaml(String),
    /// A key leads through a value that has none below it.
    #[error("`{0}` has no keys below it as it is written now; set it as a whole")]
    Through(String),
    /// Anchors, several documents and the like.
    #[error("it is written in a way that only a person can change; try `rancherctl config edit`")]
    ByHand,
}

/// The text with a value set.
///
/// # Errors
/// See [`Error`].
pub fn set(text: &str, path: &[String], value: &Value) -> Result<String, Error> {
    let old = read(text)?;
    let mut wanted = old.clone();
    path::put(&mut wanted, path, value.clone());
    if wanted == old {
        return Ok(text.into());
    }
    verified(set_unchecked(text, path, value)?, &wanted)
}

/// The text without a value, and without mappings that it leaves empty.
///
/// # Errors
/// See [`Error`].
pub fn remove(text: &str, path: &[String]) -> Result<String, Error> {
    let mut wanted = read(text)?;
    if !path::remove(&mut wanted, path) {
        return Ok(text.into());
    }
    let root = Node::of(text).ok_or(Error::ByHand)?;
    verified(remove_unchecked(text, &root, path)?, &wanted)
}

fn read(text: &str) -> Result<Value, Error> {
    match serde_yaml::from_str(text) {
        Ok(Value::Null) => Ok(Value::Mapping(Mapping::new())),
        Ok(value) => Ok(value),
        Err(error) => Err(Error::Yaml(error.to_string())),
    }
}

fn verified(text: String, wanted: &Value) -> Result<String, Error> {
    match read(&text) {
        Ok(is) if is == *wanted => Ok(text),
        _ => Err(Error::ByHand),
    }
}

fn set_unchecked(text: &str, path: &[String], value: &Value) -> Result<String, Error> {
    let Some(root) = Node::of(text) else {
        return Ok(appended(text, path, value));
    };
    let mut node = &root;
    let mut above: Option<(&Entry, bool)> = None;
    for (depth, key) in path.iter().enumerate() {
        let Kind::Mapping { flow, .. } = node.kind else {
            let nothing = matches!(node.kind, Kind::Plain) && is_null(&text[node.bytes.clone()]);
            return match above {
                Some((entry, flow)) if nothing => {
                    replace(text, entry, flow, &nested(&path[depth..], value))
                }
                None if nothing => Ok(appended(text, path, value)),
                _ => Err(Error::Through(path::join(&path[..depth]))),
            };
        };
        match node.entry(key) {
            Some(entry) => {
                above = Some((entry, flow));
                node = &entry.value;
            }
            None => return Ok(insert(text, node, key, &nested(&path[depth + 1..], value))),
        }
    }
    let (entry, flow) = above.ok_or(Error::ByHand)?;
    match (&entry.value.kind, value) {
        (
            Kind::Mapping {
                entries,
                flow: false,
            },
            Value::Mapping(new),
        ) if !new.is_empty() => set_entries(text, path, entries, new),
        _ => replace(text, entry, flow, value),
    }
}

/// A mapping in the place of another: entry by entry, so that what both have stays as it is written.
fn set_entries(text: &str, at: &[String], old: &[Entry], new: &Mapping) -> Result<String, Error> {
    let below = |key: &str| [at, &[key.to_owned()]].concat();
    let mut text = text.to_owned();
    for (key, value) in new {
        text = set(&text, &below(key.as_str().ok_or(Error::ByHand)?), value)?;
    }
    for entry in old
        .iter()
        .filter(|entry| !new.contains_key(entry.name.as_str()))
    {
        text = remove(&text, &below(&entry.name))?;
    }
    Ok(text)
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// `value` below the keys of `path`.
fn nested(path: &[String], value: &Value) -> Value {
    let mut whole = Value::Null;
    path::put(&mut whole, path, value.clone());
    whole
}

/// A new entry at the end of a text that has no values.
fn appended(text: &str, path: &[String], value: &Value) -> String {
    let gap = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!(
        "{text}{gap}{}\n",
        block(&path[0], &nested(&path[1..], value), "")
    )
}

/// A new entry at the end of a mapping.
fn insert(text: &str, mapping: &Node, key: &str, value: &Value) -> String {
    let Kind::Mapping { entries, flow } = &mapping.kind else {
        return text.into();
    };
    let whole = mapping.bytes.start == 0 || text[..mapping.bytes.start].trim().is_empty();
    match (entries.last(), flow) {
        (None, _) if whole => splice(text, mapping.bytes.clone(), &block(key, value, "")),
        (None, _) => splice(
            text,
            mapping.bytes.clone(),
            &format!("{{{}}}", flow_entry(key, value)),
        ),
        (Some(last), true) => {
            let end = last.value.bytes.end.max(last.key.end);
            splice(text, end..end, &format!(", {}", flow_entry(key, value)))
        }
        (Some(last), false) => {
            let line = line_of(text, last.value.bytes.end.max(last.key.end));
            let indent = indent_of(text, entries[0].key.start);
            ended(splice(
                text,
                line.end..line.end,
                &format!("\n{}", block(key, value, indent)),
            ))
        }
    }
}

/// Another value in the place of an entry's.
fn replace(text: &str, entry: &Entry, flow: bool, value: &Value) -> Result<String, Error> {
    let old = &entry.value;
    if flow {
        let gap = if old.bytes.is_empty() { " " } else { "" };
        return Ok(splice(
            text,
            old.bytes.clone(),
            &format!("{gap}{}", flow_value(value)),
        ));
    }
    let after_key = &text[entry.key.end..];
    let colon = after_key.len() - after_key.trim_start_matches([' ', '\t']).len();
    if !after_key[colon..].starts_with(':') {
        return Err(Error::ByHand);
    }
    let start = entry.key.end + colon + 1;
    let inline = match &old.kind {
        Kind::Block | Kind::Alias => false,
        Kind::Sequence { flow, .. } | Kind::Mapping { flow, .. } => *flow,
        Kind::Plain => !old.bytes.is_empty(),
    };
    let indent = indent_of(text, entry.key.start);
    let on_line = match (value, &old.kind) {
        // A list in brackets stays one.
        (Value::Sequence(_), Kind::Sequence { flow: true, .. }) => Some(flow_value(value)),
        _ => tail(value, indent)
            .strip_prefix(' ')
            .filter(|tail| !tail.contains('\n'))
            .map(Into::into),
    };
    match on_line {
        // What stands after it on the line, and blanks before it, stay.
        Some(new) if inline && !text[start..old.bytes.end].contains('\n') => {
            Ok(splice(text, old.bytes.clone(), &new))
        }
        on_line => {
            let tail = on_line.map_or_else(|| tail(value, indent), |new| format!(" {new}"));
            Ok(rewrite(text, entry, start, &tail, indent))
        }
    }
}

/// Writes all that stands after a key's colon anew; comments in it go above the key.
fn rewrite(text: &str, entry: &Entry, start: usize, tail: &str, indent: &str) -> String {
    let end = line_of(text, entry.value.bytes.end.max(start)).end;
    let comments = comments(text, start..end, &entry.value.texts());
    let edited = ended(splice(text, start..end, tail));
    let line = line_of(text, entry.key.start).start;
    splice(&edited, line..line, &commented(&comments, indent))
}

fn remove_unchecked(text: &str, root: &Node, path: &[String]) -> Result<String, Error> {
    // The outermost mapping that has nothing else, or the value itself.
    let mut node = root;
    let mut found: Option<(&Node, usize)> = None;
    for key in path {
        let Kind::Mapping { entries, .. } = &node.kind else {
            return Err(Error::ByHand);
        };
        let position = entries
            .iter()
            .position(|entry| entry.name == *key)
            .ok_or(Error::ByHand)?;
        if found.is_none() || entries.len() > 1 {
            found = Some((node, position));
        }
        node = &entries[position].value;
    }
    let (mapping, position) = found.ok_or(Error::ByHand)?;
    let Kind::Mapping { entries, flow } = &mapping.kind else {
        return Err(Error::ByHand);
    };
    let entry = &entries[position];
    let end = entry.value.bytes.end.max(entry.key.end);
    if *flow {
        let range = match (position.checked_sub(1), entries.get(position + 1)) {
            (_, Some(next)) => entry.key.start..next.key.start,
            (Some(before), None) => entries[before].value.bytes.end..end,
            (None, None) => entry.key.start..end,
        };
        return Ok(splice(text, range, ""));
    }
    let first = line_of(text, entry.key.start);
    let last = line_of(text, end);
    let texts = [vec![entry.key.clone()], entry.value.texts()].concat();
    let comments = comments(text, entry.key.start..last.end, &texts);
    let kept = commented(&comments, indent_of(text, entry.key.start));
    let next = (last.end + 1).min(text.len());
    Ok(splice(text, first.start..next, &kept))
}

/// The comments in a part of the text; `#` in a text is none.
fn comments(text: &str, part: Range<usize>, texts: &[Range<usize>]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = part.start;
    while let Some(hash) = text[at..part.end].find('#').map(|offset| at + offset) {
        at = hash + 1;
        let inside = texts.iter().any(|bytes| bytes.contains(&hash));
        if !inside && text[..hash].ends_with([' ', '\t', '\n']) {
            let end = line_of(text, hash).end.min(part.end);
            found.push(text[hash..end].trim_end().to_owned());
            at = end;
        }
    }
    found
}

fn commented(comments: &[String], indent: &str) -> String {
    comments
        .iter()
        .map(|comment| format!("{indent}{comment}\n"))
        .collect()
}

fn splice(text: &str, range: Range<usize>, new: &str) -> String {
    [&text[..range.start], new, &text[range.end..]].concat()
}

/// With a line break at the end: without it a last text of several lines would lose its own.
fn ended(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The line that a byte stands in, without its break.
fn line_of(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |before| before + 1);
    let end = text[at..].find('\n').map_or(text.len(), |after| at + after);
    start..end
}

/// The blanks before a key.
fn indent_of(text: &str, key: usize) -> &str {
    let before = &text[line_of(text, key).start..key];
    if before.trim().is_empty() { before } else { "" }
}

/// `key: value` over as many lines as it takes, the last without its break.
fn block(key: &str, value: &Value, indent: &str) -> String {
    format!("{indent}{}:{}", word(key), tail(value, indent))
}

/// What stands after a key's colon.
fn tail(value: &Value, indent: &str) -> String {
    let entry = Mapping::from_iter([(Value::from("k"), value.clone())]);
    let written = serde_yaml::to_string(&entry).unwrap_or_default();
    let tail = written.strip_prefix("k:").unwrap_or_default();
    let tail = tail.strip_suffix('\n').unwrap_or(tail);
    tail.replace('\n', &format!("\n{indent}"))
}

/// A value on one line.
pub fn flow_value(value: &Value) -> String {
    match value {
        Value::Sequence(items) => {
            format!(
                "[{}]",
                items.iter().map(flow_value).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Mapping(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| flow_entry(key.as_str().unwrap_or("?"), value));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => word(text),
        other => serde_yaml::to_string(other)
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
    }
}

fn flow_entry(key: &str, value: &Value) -> String {
    format!("{}: {}", word(key), flow_value(value))
}

/// A text on one line: as it is where it stays that text, else in quotes.
fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/+=-".contains(&byte);
    let is_itself = || serde_yaml::from_str::<Value>(text).is_ok_and(|value| value == *text);
    if text.bytes().all(plain) && !text.starts_with('-') && is_itself() {
        text.into()
    } else if text.chars().any(char::is_control) {
        // Its escapes are those of YAML's double quotes.
        serde_json::to_string(text).unwrap_or_default()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests;
