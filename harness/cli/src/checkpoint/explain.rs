//! Why a checkpoint is there, or why none of those that are there is used.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Listed, Recipe, Store};

/// How it stands with a checkpoint.
#[derive(Debug, Clone)]
pub enum Explained {
    /// It is there and is used.
    There(Listed),
    /// It has a folder, and is not whole, so that it will be made.
    Damaged {
        /// What is there.
        one: Listed,
        /// What is wrong with it.
        why: String,
    },
    /// It will be made.
    Missing {
        /// The one that is nearest to it, and what differs; none where no other is there.
        nearest: Option<(Listed, Vec<Difference>)>,
    },
}

/// One thing that two checkpoints were not made of alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub what: String,
    /// How it was.
    pub was: String,
    /// How it is now.
    pub is: String,
}

impl Store {
    /// Tells how it stands with the checkpoint of a recipe.
    pub fn explain(&self, recipe: &Recipe) -> Explained {
        let (name, mut others) = (recipe.name(), self.list());
        if let Some(at) = others.iter().position(|one| one.name == name) {
            let one = others.swap_remove(at);
            return match self.damage(&name) {
                Some(why) => Explained::Damaged { one, why },
                None => Explained::There(one),
            };
        }
        let differing = others.into_iter().filter_map(|one| {
            let differences = differences(&one.recipe.as_ref()?.inputs, &recipe.inputs);
            Some((one, differences))
        });
        // The same machine at the same place says more than another that happens to be nearer.
        let nearest = differing.min_by_key(|(one, differences)| {
            let other = one.recipe.as_ref().is_none_or(|r| r.label != recipe.label);
            (other, differences.len())
        });
        Explained::Missing { nearest }
    }
}

/// What differs between two trees of values.
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
        // What is not said.
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
    fn what_differs_is_named() {
        let was = json!({ "kernel": "aa", "setups": [["ls"]], "memory": 1024 });
        let is = json!({ "kernel": "bb", "setups": [["ls", "ps"]], "memory": 1024 });
        let found = differences(&was, &is);
        let told: Vec<_> = found
            .iter()
            .map(|d| format!("{}: {} -> {}", d.what, d.was, d.is))
            .collect();
        assert_eq!(told, ["kernel: aa -> bb", "setups[0][1]: nothing -> ps"]);
        let more = json!({ "kernel": "aa", "setups": [["ls"]], "memory": 1024, "ready": null });
        assert_eq!(differences(&was, &more), []);
        assert_eq!(differences(&was, &was), []);
    }
}
