//! YAML whose numbers and flags stay as they are written.
//!
//! YAML reads `1.10` as the number 1.1 and `True` as `true`. Whether a key is text only the schema
//! knows, so a scalar that would print differently becomes the text of its source here, and the
//! schema makes a number or a flag of it again where it wants one (module `fit`).

use std::collections::HashMap;

use serde_yaml::{Mapping, Value};

use crate::tree::{Kind, Node};

/// Reads a text.
///
/// # Errors
/// It is no YAML.
pub fn read(text: &str) -> Result<Value, serde_yaml::Error> {
    let node = Node::of(text);
    let value = match (serde_yaml::from_str(text), &node) {
        (Err(_), Some(node)) => serde_yaml::from_str(&with_large_numbers_quoted(text, node))?,
        (read, _) => read?,
    };
    // Without positions what YAML makes of it holds.
    Ok(match node {
        Some(node) => Overlay::new(text).put(value, &node),
        None => value,
    })
}

/// The parser refuses a number that no integer of 64 bits holds, such as a password of 20 digits.
fn with_large_numbers_quoted(text: &str, node: &Node) -> String {
    let mut quoted = text.to_owned();
    for bytes in node.texts().into_iter().rev() {
        let word = text.get(bytes.clone()).unwrap_or_default();
        if word.len() > MOST_DIGITS && word.bytes().all(|byte| byte.is_ascii_digit()) {
            quoted.replace_range(bytes, &format!("'{word}'"));
        }
    }
    quoted
}

/// All numbers of so many digits fit into 64 bits.
const MOST_DIGITS: usize = 18;

/// A number or a flag as YAML prints it.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A text, and a number or a flag as text.
pub fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| scalar(value))
}

struct Overlay<'a> {
    text: &'a str,
    /// What has an anchor, by the anchor's number.
    anchored: HashMap<usize, Value>,
}

impl<'a> Overlay<'a> {
    fn new(text: &'a str) -> Self {
        let anchored = HashMap::new();
        Self { text, anchored }
    }

    fn put(&mut self, value: Value, node: &Node) -> Value {
        let new = match (value, &node.kind) {
            (value, Kind::Alias) => {
                return self.anchored.get(&node.anchor).cloned().unwrap_or(value);
            }
            (Value::Sequence(values), Kind::Sequence { items, .. })
                if values.len() == items.len() =>
            {
                let items = values.into_iter().zip(items);
                Value::Sequence(items.map(|(value, node)| self.put(value, node)).collect())
            }
            (Value::Mapping(values), Kind::Mapping { entries, .. })
                if values.len() == entries.len() =>
            {
                let pairs = values.into_iter().zip(entries);
                let pairs = pairs.map(|((key, value), entry)| {
                    let key = scalar(&key).map_or(key, |_| entry.name.as_str().into());
                    (key, self.put(value, &entry.value))
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
        // Its anchor may stand before it.
        let source = match source.strip_prefix('&') {
            Some(anchored) => anchored
                .rsplit(char::is_whitespace)
                .next()
                .unwrap_or_default(),
            None => source,
        };
        // `!!int "5"` is a number, and has quotes.
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
    fn numbers_and_flags_stay_as_written() {
        let text = "a: 1.10\nb: [0x1F, 1e3, .5, +5, True, 12, true]\n1.20: {c: 0o17}\nd: \"1.10\"\n\
                    e: &x 3.40\nf: *x\ng: !!str 1.50\nh: &l [1.60]\ni: *l\nj: 18446744073709551616\n";
        let value = read(text).unwrap();
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
    fn windows_line_ends_are_no_part_of_a_value() {
        assert_eq!(read("a: 1.10\r\nb: 2.20\r\n").unwrap()["a"], "1.10");
    }
}
