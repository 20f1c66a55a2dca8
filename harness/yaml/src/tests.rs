use std::collections::BTreeMap;
use std::path::Path;

use insta::assert_snapshot;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only deserialized, for the errors")]
struct Garden {
    name: String,
    #[serde(default)]
    beds: Vec<Bed>,
    #[serde(default)]
    notes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only deserialized, for the errors")]
struct Bed {
    plant: String,
    width: Option<u32>,
    soil: Option<Soil>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Soil {
    Sand,
    Clay,
}

fn error(text: &str) -> String {
    let document = match Document::from_text(Path::new("garden.yaml"), text) {
        Ok(document) => document,
        Err(error) => return error.to_string(),
    };
    document
        .fit::<Garden>(document.value().unwrap(), "")
        .unwrap_err()
        .to_string()
}

#[test]
fn unknown_key_is_reported_with_the_nearest_key() {
    assert_snapshot!(error("name: a\nbeds:\n  - plant: rose\n    witdh: 3\n"));
}

#[test]
fn unknown_value_is_reported_with_the_nearest_value() {
    assert_snapshot!(error("name: a\nbeds:\n  - plant: rose\n    soil: snad\n"));
}

#[test]
fn wrong_type_is_reported_with_its_place() {
    assert_snapshot!(error(
        "name: a\nbeds:\n  - plant: ü\n    width: \"wide\" # really\n"
    ));
}

#[test]
fn error_of_a_number_in_place_of_a_string_suggests_quotes() {
    assert_snapshot!(error("name: 7\n"));
}

#[test]
fn missing_key_is_reported_at_its_parent() {
    assert_snapshot!(error("name: a\nbeds:\n  - width: 3\n"));
}

#[test]
fn duplicate_key_is_refused() {
    assert_snapshot!(error("name: a\nname: b\n"));
}

#[test]
fn syntax_error_is_reported_with_its_place() {
    assert_snapshot!(error("name: [a\nbeds: }\n"));
}

#[test]
fn empty_file_is_refused() {
    assert_snapshot!(error(""));
}

#[test]
fn missing_file_is_an_error_without_a_place() {
    let error = read_yaml::<Garden>(Path::new("nowhere.yaml")).unwrap_err();
    assert_snapshot!(error);
}

#[test]
fn line_of_an_unknown_path_is_that_of_its_parent() {
    let text = "name: a\nbeds:\n  - plant: rose\n  - plant: oak\nnotes: {a: b,\n  c: d}\n";
    let document = Document::from_text(Path::new("garden.yaml"), text).unwrap();
    let lines = [
        "name",
        "beds",
        "beds[0]",
        "beds[1].plant",
        "notes.c",
        "beds[1].none",
        "none",
    ]
    .map(|path| document.line(path));
    assert_eq!(lines, [1, 2, 3, 4, 6, 4, 1]);
}

#[test]
fn question_mark_in_a_plain_word_of_a_flow_collection_is_refused() {
    for text in ["notes: { a: vd?1 }", "notes: { a: b, c: [d, e?] }"] {
        let error = Document::from_text(Path::new("garden.yaml"), text).unwrap_err();
        assert!(error.message.contains("put the word in quotes"), "{error}");
    }
    for text in [
        "notes: { a: 'vd?1', b: \"c?\" }",
        "notes:\n  a: vd?1\n  b: { c: d }\n  e: f?",
        "notes: { a: [b] }\nname: c?",
    ] {
        Document::from_text(Path::new("garden.yaml"), text).unwrap();
    }
}
