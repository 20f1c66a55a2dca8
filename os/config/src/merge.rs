//! Merging of layers.

use serde_yaml::Value;

/// Merges `upper` into `lower`: mappings are merged key by key, any other value replaces the old one.
pub fn merge(lower: &mut Value, upper: &Value) {
    match (lower, upper) {
        (Value::Mapping(lower), Value::Mapping(upper)) => {
            for (key, value) in upper {
                merge(lower.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (lower, upper) => *lower = upper.clone(),
    }
}
