//! A line `KEY VALUE` and a document: what is set is what stands there then, and what is taken
//! out stands there no longer.
#![no_main]

use config::{edit, path};
use libfuzzer_sys::fuzz_target;
use serde_yaml::Value;

fuzz_target!(|input: &str| {
    let (what, document) = input.split_once('\n').unwrap_or((input, ""));
    let (key, value) = what.split_once(' ').unwrap_or((what, ""));
    let (Ok(key), Ok(value)) = (path::parse(key), serde_yaml::from_str::<Value>(value)) else {
        return;
    };
    let Ok(text) = edit::set(document, &key, &value) else {
        return;
    };
    let read: Value = serde_yaml::from_str(&text).expect("a document that was edited is YAML");
    assert_eq!(path::get(&read, &key), Some(&value), "{text}");
    // A value with tags in it can be set, and taken out again only by hand.
    let Ok(text) = edit::remove(&text, &key) else {
        return;
    };
    let read: Value = serde_yaml::from_str(&text).expect("a document that was edited is YAML");
    assert_eq!(path::get(&read, &key), None, "{text}");
});
