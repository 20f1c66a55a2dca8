//! Input: a line `KEY VALUE` and a document. `edit::set` must set the value, and `edit::remove` must
//! remove it.
#![no_main]

use config::{edit, path};
use libfuzzer_sys::fuzz_target;
use serde_yaml::Value;

fuzz_target!(|input: &str| {
    let (line, document) = input.split_once('\n').unwrap_or((input, ""));
    let (key, value) = line.split_once(' ').unwrap_or((line, ""));
    let (Ok(key), Ok(value)) = (path::parse(key), serde_yaml::from_str::<Value>(value)) else {
        return;
    };
    let Ok(text) = edit::set(document, &key, &value) else {
        return;
    };
    let read: Value = serde_yaml::from_str(&text).expect("an edited document must be YAML");
    assert_eq!(path::get(&read, &key), Some(&value), "{text}");
    // A value with tags can be set but not removed automatically.
    let Ok(text) = edit::remove(&text, &key) else {
        return;
    };
    let read: Value = serde_yaml::from_str(&text).expect("an edited document must be YAML");
    assert_eq!(path::get(&read, &key), None, "{text}");
});
