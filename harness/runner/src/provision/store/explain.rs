//! Explains whether a checkpoint can be reused, and what differs from the nearest one if it cannot.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::key::CheckpointKey;
use super::keep::Listed;
use super::store::CheckpointStore;

/// The state of a checkpoint.
#[derive(Debug, Clone)]
pub enum Explained {
    /// It exists and is used.
    Exists(Listed),
    /// Its folder exists but is incomplete, so the checkpoint is created again.
    Damaged {
        /// The incomplete checkpoint.
        one: Listed,
        /// What is missing or corrupt.
        why: String,
    },
    /// It does not exist and is created.
    Missing {
        /// The existing checkpoint with the fewest differences; `None` if there is no other.
        nearest: Option<(Listed, Vec<Difference>)>,
    },
}

/// One input that differs between two checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path of the input.
    pub what: String,
    /// Its value in the existing checkpoint.
    pub was: String,
    /// Its value now.
    pub is: String,
}

impl CheckpointStore {
    /// Reports the state of the checkpoint with this key.
    pub fn explain(&self, key: &CheckpointKey) -> Explained {
        let (name, mut others) = (key.name(), self.list());
        if let Some(at) = others.iter().position(|one| one.name == name) {
            let one = others.swap_remove(at);
            return match self.damage(&name) {
                Some(why) => Explained::Damaged { one, why },
                None => Explained::Exists(one),
            };
        }
        let differing = others.into_iter().filter_map(|one| {
            let differences = differences(&one.key.as_ref()?.inputs, &key.inputs);
            Some((one, differences))
        });
        // A checkpoint with the same label is more informative than one with fewer differences.
        let nearest = differing.min_by_key(|(one, differences)| {
            let other = one.key.as_ref().is_none_or(|r| r.label != key.label);
            (other, differences.len())
        });
        Explained::Missing { nearest }
    }
}

/// The leaves in which two JSON trees differ.
fn differences(was: &Value, is: &Value) -> Vec<Difference> {
    let (mut before, mut now) = (BTreeMap::new(), BTreeMap::new());
    leaves(was, "", &mut before);
    leaves(is, "", &mut now);
    let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    let nothing = || "nothing".to_owned();
    let differing = names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name));
    differing
        .map(|name| Difference {
            what: name.clone(),
            was: before.get(name).cloned().unwrap_or_else(nothing),
            is: now.get(name).cloned().unwrap_or_else(nothing),
        })
        .collect()
}

fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    let under = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| leaves(v, &under(k), found)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(n, v)| leaves(v, &format!("{path}[{n}]"), found)),
        // An absent value.
        Value::Null => {}
        Value::String(text) => drop(found.insert(path.into(), text.clone())),
        other => drop(found.insert(path.into(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_each_input_that_changed() {
        let was = json!({ "kernel": "aa", "setups": [["ls"]], "memory": 1024 });
        let is = json!({ "kernel": "bb", "setups": [["ls", "ps"]], "memory": 1024 });
        let found = differences(&was, &is);
        let rendered: Vec<_> = found
            .iter()
            .map(|d| format!("{}: {} -> {}", d.what, d.was, d.is))
            .collect();
        assert_eq!(
            rendered,
            ["kernel: aa -> bb", "setups[0][1]: nothing -> ps"]
        );
        let more = json!({ "kernel": "aa", "setups": [["ls"]], "memory": 1024, "ready": null });
        assert_eq!(differences(&was, &more), []);
        assert_eq!(differences(&was, &was), []);
    }
}
