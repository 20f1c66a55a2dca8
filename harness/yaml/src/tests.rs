use std::collections::BTreeMap;
use std::path::Path;

use insta::assert_snapshot;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only read for what does not fit")]
struct Garden {
    name: String,
    #[serde(default)]
    beds: Vec<Bed>,
    #[serde(default)]
    notes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only read for what does not fit")]
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

fn wrong(text: &str) -> String {
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
fn an_unknown_key_is_pointed_at_with_the_one_that_was_meant() {
    assert_snapshot!(wrong("name: a\nbeds:\n  - plant: rose\n    witdh: 3\n"));
}

#[test]
fn an_unknown_word_is_pointed_at() {
    assert_snapshot!(wrong("name: a\nbeds:\n  - plant: rose\n    soil: snad\n"));
}

#[test]
fn a_wrong_type_is_pointed_at() {
    assert_snapshot!(wrong(
        "name: a\nbeds:\n  - plant: ü\n    width: \"wide\" # really\n"
    ));
}

#[test]
fn a_number_for_a_string_is_told_to_be_quoted() {
    assert_snapshot!(wrong("name: 7\n"));
}

#[test]
fn a_missing_key_points_at_what_lacks_it() {
    assert_snapshot!(wrong("name: a\nbeds:\n  - width: 3\n"));
}

#[test]
fn the_same_key_twice_is_an_error() {
    assert_snapshot!(wrong("name: a\nname: b\n"));
}

#[test]
fn what_is_not_yaml_is_an_error_with_a_place() {
    assert_snapshot!(wrong("name: [a\nbeds: }\n"));
}

#[test]
fn an_empty_file_is_an_error() {
    assert_snapshot!(wrong(""));
}

#[test]
fn a_file_that_is_not_there_is_an_error_without_a_place() {
    let error = read_yaml::<Garden>(Path::new("nowhere.yaml")).unwrap_err();
    assert_snapshot!(error);
}

#[test]
fn lines_are_known_for_every_path() {
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
