//! Parses YAML and preserves the spelling of numbers and booleans.
//!
//! YAML reads `1.10` as the number 1.1 and `True` as `true`. Only the schema knows which keys are text.
//! Therefore a scalar that would print differently becomes the text of its source here, and the module
//! `validate` parses it again if the schema expects a number or a boolean.

use std::collections::HashMap;

use serde_yaml::{Mapping, Value};

use crate::tree::{Kind, Node};

/// Parses a text.
///
/// # Errors
/// The text is not YAML.
pub fn parse(text: &str) -> Result<Value, serde_yaml::Error> {
    let node = Node::of(text);
    let value = match (serde_yaml::from_str(text), &node) {
        (Err(_), Some(node)) => serde_yaml::from_str(&with_large_numbers_quoted(text, node))?,
        (parsed, _) => parsed?,
    };
    // Without positions, the parsed values are used unchanged.
    Ok(match node {
        Some(node) => Spellings::new(text).restore(value, &node),
        None => value,
    })
}

/// Quotes numbers that do not fit into 64 bits, such as a password of 20 digits; the parser rejects them.
fn with_large_numbers_quoted(text: &str, node: &Node) -> String {
    let mut quoted = text.to_owned();
    for bytes in node.scalars().into_iter().rev() {
        let word = text.get(bytes.clone()).unwrap_or_default();
        if word.len() > MAX_DIGITS && word.bytes().all(|byte| byte.is_ascii_digit()) {
            quoted.replace_range(bytes, &format!("'{word}'"));
        }
    }
    quoted
}

/// The number of decimal digits that always fit into 64 bits.
const MAX_DIGITS: usize = 18;

/// A number or a boolean as YAML prints it.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Text, or a number or a boolean as text.
pub fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| scalar(value))
}

/// Restores the spelling of scalars from the source text.
struct Spellings<'a> {
    text: &'a str,
    /// Values with an anchor, by the anchor's number.
    anchored: HashMap<usize, Value>,
}

impl<'a> Spellings<'a> {
    fn new(text: &'a str) -> Self {
        let anchored = HashMap::new();
        Self { text, anchored }
    }

    fn restore(&mut self, value: Value, node: &Node) -> Value {
        let new = match (value, &node.kind) {
            (value, Kind::Alias) => {
                return self.anchored.get(&node.anchor).cloned().unwrap_or(value);
            }
            (Value::Sequence(values), Kind::Sequence { items, .. })
                if values.len() == items.len() =>
            {
                let items = values.into_iter().zip(items);
                Value::Sequence(
                    items
                        .map(|(value, node)| self.restore(value, node))
                        .collect(),
                )
            }
            (Value::Mapping(values), Kind::Mapping { entries, .. })
                if values.len() == entries.len() =>
            {
                let pairs = values.into_iter().zip(entries);
                let pairs = pairs.map(|((key, value), entry)| {
                    let key = scalar(&key).map_or(key, |_| entry.name.as_str().into());
                    (key, self.restore(value, &entry.value))
                });
                Value::Mapping(pairs.collect::<Mapping>())
            }
            (value, Kind::Plain) => self.scalar(value, node),
            (value, _) => value,
        };
        if node.anchor != 0 {
            self.anchored.insert(node.anchor, new.clone());
        }
        new
    }

    fn scalar(&self, value: Value, node: &Node) -> Value {
        let source = self.text.get(node.bytes.clone()).unwrap_or_default();
        // The span may begin with the anchor.
        let source = match source.strip_prefix('&') {
            Some(anchored) => anchored
                .rsplit(char::is_whitespace)
                .next()
                .unwrap_or_default(),
            None => source,
        };
        // `!!int "5"` is a number in quotes.
        let quoted = source.starts_with(['\'', '"', '!']);
        match scalar(&value) {
            Some(printed) if !quoted && !source.is_empty() && printed != source => source.into(),
            _ => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_preserves_the_spelling_of_numbers_and_booleans() {
        let text = "a: 1.10\nb: [0x1F, 1e3, .5, +5, True, 12, true]\n1.20: {c: 0o17}\nd: \"1.10\"\n\
                    e: &x 3.40\nf: *x\ng: !!str 1.50\nh: &l [1.60]\ni: *l\nj: 18446744073709551616\n";
        let value = parse(text).unwrap();
        let list: Vec<_> = value["b"].as_sequence().unwrap().iter().collect();
        assert_eq!(value["a"], "1.10");
        assert_eq!(list[..5], ["0x1F", "1e3", ".5", "+5", "True"]);
        assert_eq!((list[5], list[6]), (&Value::from(12), &Value::from(true)));
        assert_eq!(value["1.20"]["c"], "0o17");
        for (key, wanted) in [("d", "1.10"), ("e", "3.40"), ("f", "3.40"), ("g", "1.50")] {
            assert_eq!(value[key], wanted, "{key}");
        }
        assert_eq!(
            (&value["h"][0], &value["i"][0]),
            (&"1.60".into(), &"1.60".into())
        );
        assert_eq!(value["j"], "18446744073709551616");
    }

    #[test]
    fn parse_excludes_windows_line_ends_from_values() {
        assert_eq!(parse("a: 1.10\r\nb: 2.20\r\n").unwrap()["a"], "1.10");
    }
}
