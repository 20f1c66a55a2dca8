//! Edits of a document's text. An edit rewrites only the changed value and preserves comments and order.
//!
//! Each edit is verified: the new text must parse to the old document with only that value changed.
//! Otherwise the edit fails.

use std::ops::Range;

use serde_yaml::{Mapping, Value};

use crate::path;
use crate::tree::{Entry, Kind, Node};

/// Why an edit failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not YAML.
    #[error("{0}")]
    Yaml(String),
    /// A parent of the key is not a mapping.
    #[error("`{0}` is not a mapping in this document; hint: set the whole value of `{0}`")]
    NotAMapping(String),
    /// The text uses anchors, several documents or the like.
    #[error(
        "this document uses YAML features that cannot be edited automatically; hint: run \
         `rancherctl config edit`"
    )]
    Unsupported,
}

/// Sets a value and returns the new text.
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

/// Removes a value and the mappings that become empty, and returns the new text.
///
/// # Errors
/// See [`Error`].
pub fn remove(text: &str, path: &[String]) -> Result<String, Error> {
    let mut wanted = read(text)?;
    if !path::remove(&mut wanted, path) {
        return Ok(text.into());
    }
    let root = Node::of(text).ok_or(Error::Unsupported)?;
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
        Ok(value) if value == *wanted => Ok(text),
        _ => Err(Error::Unsupported),
    }
}

fn set_unchecked(text: &str, path: &[String], value: &Value) -> Result<String, Error> {
    let Some(root) = Node::of(text) else {
        return Ok(appended(text, path, value));
    };
    let mut node = &root;
    let mut parent: Option<(&Entry, bool)> = None;
    for (depth, key) in path.iter().enumerate() {
        let Kind::Mapping { flow, .. } = node.kind else {
            let empty = matches!(node.kind, Kind::Plain) && is_null(&text[node.bytes.clone()]);
            return match parent {
                Some((entry, flow)) if empty => {
                    replace(text, entry, flow, &nested(&path[depth..], value))
                }
                None if empty => Ok(appended(text, path, value)),
                _ => Err(Error::NotAMapping(path::join(&path[..depth]))),
            };
        };
        match node.entry(key) {
            Some(entry) => {
                parent = Some((entry, flow));
                node = &entry.value;
            }
            None => return Ok(insert(text, node, key, &nested(&path[depth + 1..], value))),
        }
    }
    let (entry, flow) = parent.ok_or(Error::Unsupported)?;
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

/// Replaces a mapping entry by entry, so that entries that both mappings share keep their text.
fn set_entries(text: &str, at: &[String], old: &[Entry], new: &Mapping) -> Result<String, Error> {
    let below = |key: &str| [at, &[key.to_owned()]].concat();
    let mut text = text.to_owned();
    for (key, value) in new {
        text = set(
            &text,
            &below(key.as_str().ok_or(Error::Unsupported)?),
            value,
        )?;
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

/// Nests `value` below the keys of `path`.
fn nested(path: &[String], value: &Value) -> Value {
    let mut whole = Value::Null;
    path::put(&mut whole, path, value.clone());
    whole
}

/// Appends an entry to a text that has no values.
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

/// Inserts an entry at the end of a mapping.
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
            with_final_newline(splice(
                text,
                line.end..line.end,
                &format!("\n{}", block(key, value, indent)),
            ))
        }
    }
}

/// Replaces the value of an entry.
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
        return Err(Error::Unsupported);
    }
    let start = entry.key.end + colon + 1;
    let inline = match &old.kind {
        Kind::Block | Kind::Alias => false,
        Kind::Sequence { flow, .. } | Kind::Mapping { flow, .. } => *flow,
        Kind::Plain => !old.bytes.is_empty(),
    };
    let indent = indent_of(text, entry.key.start);
    let on_line = match (value, &old.kind) {
        // A list in brackets stays in brackets.
        (Value::Sequence(_), Kind::Sequence { flow: true, .. }) => Some(flow_value(value)),
        _ => tail(value, indent)
            .strip_prefix(' ')
            .filter(|tail| !tail.contains('\n'))
            .map(Into::into),
    };
    match on_line {
        // The spaces before the value and the text after it on the line are preserved.
        Some(new) if inline && !text[start..old.bytes.end].contains('\n') => {
            Ok(splice(text, old.bytes.clone(), &new))
        }
        on_line => {
            let tail = on_line.map_or_else(|| tail(value, indent), |new| format!(" {new}"));
            Ok(rewrite(text, entry, start, &tail, indent))
        }
    }
}

/// Rewrites everything after a key's colon. Comments inside it move above the key.
fn rewrite(text: &str, entry: &Entry, start: usize, tail: &str, indent: &str) -> String {
    let end = line_of(text, entry.value.bytes.end.max(start)).end;
    let comments = comments(text, start..end, &entry.value.scalars());
    let edited = with_final_newline(splice(text, start..end, tail));
    let line = line_of(text, entry.key.start).start;
    splice(&edited, line..line, &comment_lines(&comments, indent))
}

fn remove_unchecked(text: &str, root: &Node, path: &[String]) -> Result<String, Error> {
    // Remove the outermost mapping that contains nothing else, or the value itself.
    let mut node = root;
    let mut found: Option<(&Node, usize)> = None;
    for key in path {
        let Kind::Mapping { entries, .. } = &node.kind else {
            return Err(Error::Unsupported);
        };
        let position = entries
            .iter()
            .position(|entry| entry.name == *key)
            .ok_or(Error::Unsupported)?;
        if found.is_none() || entries.len() > 1 {
            found = Some((node, position));
        }
        node = &entries[position].value;
    }
    let (mapping, position) = found.ok_or(Error::Unsupported)?;
    let Kind::Mapping { entries, flow } = &mapping.kind else {
        return Err(Error::Unsupported);
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
    let scalars = [vec![entry.key.clone()], entry.value.scalars()].concat();
    let comments = comments(text, entry.key.start..last.end, &scalars);
    let comments = comment_lines(&comments, indent_of(text, entry.key.start));
    let next = (last.end + 1).min(text.len());
    Ok(splice(text, first.start..next, &comments))
}

/// The comments in a part of the text. A `#` inside a scalar does not begin a comment.
fn comments(text: &str, part: Range<usize>, scalars: &[Range<usize>]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = part.start;
    while let Some(hash) = text[at..part.end].find('#').map(|offset| at + offset) {
        at = hash + 1;
        let inside = scalars.iter().any(|bytes| bytes.contains(&hash));
        if !inside && text[..hash].ends_with([' ', '\t', '\n']) {
            let end = line_of(text, hash).end.min(part.end);
            found.push(text[hash..end].trim_end().to_owned());
            at = end;
        }
    }
    found
}

fn comment_lines(comments: &[String], indent: &str) -> String {
    comments
        .iter()
        .map(|comment| format!("{indent}{comment}\n"))
        .collect()
}

fn splice(text: &str, range: Range<usize>, new: &str) -> String {
    [&text[..range.start], new, &text[range.end..]].concat()
}

/// Adds a line break at the end of the text; without it, a final block scalar would lose its own.
fn with_final_newline(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The line that contains a byte, without the line break.
fn line_of(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |before| before + 1);
    let end = text[at..].find('\n').map_or(text.len(), |after| at + after);
    start..end
}

/// The indentation of a key.
fn indent_of(text: &str, key: usize) -> &str {
    let before = &text[line_of(text, key).start..key];
    if before.trim().is_empty() { before } else { "" }
}

/// `key: value` in block style on one or more lines, without the last line break.
fn block(key: &str, value: &Value, indent: &str) -> String {
    format!("{indent}{}:{}", scalar(key), tail(value, indent))
}

/// The text after a key's colon.
fn tail(value: &Value, indent: &str) -> String {
    let entry = Mapping::from_iter([(Value::from("k"), value.clone())]);
    let written = serde_yaml::to_string(&entry).unwrap_or_default();
    let tail = written.strip_prefix("k:").unwrap_or_default();
    let tail = tail.strip_suffix('\n').unwrap_or(tail);
    tail.replace('\n', &format!("\n{indent}"))
}

/// A value in flow style, on one line.
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
        Value::String(text) => scalar(text),
        other => serde_yaml::to_string(other)
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
    }
}

fn flow_entry(key: &str, value: &Value) -> String {
    format!("{}: {}", scalar(key), flow_value(value))
}

/// A text on one line, in quotes if the plain text would parse to another value.
fn scalar(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/+=-".contains(&byte);
    let is_itself = || serde_yaml::from_str::<Value>(text).is_ok_and(|value| value == *text);
    if text.bytes().all(plain) && !text.starts_with('-') && is_itself() {
        text.into()
    } else if text.chars().any(char::is_control) {
        // JSON's escapes are valid in YAML's double quotes.
        serde_json::to_string(text).unwrap_or_default()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests;
