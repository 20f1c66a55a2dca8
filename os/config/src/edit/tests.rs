//! Many documents, each changed in many ways.

use super::*;

const DOCUMENTS: [&str; 16] = [
    "",
    "# nothing yet\n",
    "---\n# begun\n",
    "{}\n",
    "hostname: box",
    "# who\nhostname: box   # my box\n\n# where\ndns: [8.8.8.8, 8.8.4.4]  # theirs\nstate:\n  # kept\n  dev: LABEL=X # by label\n  required: false\n\n# end\n",
    "dns:\n  # first\n  - 8.8.8.8 # one\n  # second\n  - 8.8.4.4\nhostname: box\n",
    "dns:\n- 8.8.8.8\nhostname: 'it''s # no comment' # but this\n",
    "ssh:\n  keys:\n    rsa: |-\n      -----BEGIN-----\n      # no comment\n      -----END-----\n    # public\n    rsa-pub: ssh-rsa AAAA me@x\nhostname: box\n",
    "state: {dev: LABEL=X, required: true} # short\nhostname: \"b\\u006fx\"\n",
    "state: # to do\nhostname:\n# end\n",
    "state:\n    dev: |\n        LABEL=X\n\n\n# gap\nhostname: >-\n  folded\n  box\n",
    "hostname: bøx # ünï\nstate:\n  dev: ø # æ\n",
    "hostname: box\r\nstate:\r\n  dev: x # crlf\r\n",
    "environment: {}\ndns: []\nstate:\n  dev: >\n    x\n  fstype: ext4\nmodules:\n    - a\n",
    "hostname: a plain\n  text of two lines\nstate:\n  dev: x\n\n\n",
];

fn keys(text: &str) -> Vec<String> {
    path::parse(text).unwrap()
}

/// Comments as a reader would name them; those of the documents hold no quotes.
fn notes(text: &str) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.contains("# no comment\n")) {
        if let Some(at) = line.rfind("# ") {
            notes.push(line[at..].trim_end().to_owned());
        }
    }
    notes.retain(|note| note != "# no comment");
    notes.sort();
    notes
}

#[test]
fn any_value_is_set_in_any_document_and_no_comment_is_lost() {
    let values = [
        "plain",
        "'7'",
        "true",
        "[]",
        "[a, 'b: c', \"x,y\"]",
        "{a: {b: [1]}}",
        "|\n  two\n  lines\n",
        "\"lines\\n\\n  # with\\n\\tall\"",
        "''",
        "'# text'",
    ];
    let paths = [
        "hostname",
        "dns",
        "state.dev",
        "state.required",
        "state.new.deep",
        "environment.HTTP_PROXY",
        "ssh.keys.rsa",
        "ssh.keys.new",
        "modules",
        "services.x.labels.\"io.rancher.os.after\"",
    ];
    for document in DOCUMENTS {
        for path in paths {
            for value in values {
                let value: Value = serde_yaml::from_str(value).unwrap();
                let edited = set(document, &keys(path), &value).unwrap_or_else(|error| {
                    panic!(
                        "{document:?} {path} {value:?}: {error}\n{}",
                        set_unchecked(document, &keys(path), &value).unwrap_or_default()
                    )
                });
                for note in notes(document) {
                    assert!(
                        edited.contains(&note),
                        "{document}\n{path}: {note}\n{edited}"
                    );
                }
                let again = set(&edited, &keys(path), &"x".into()).unwrap();
                let gone = remove(&again, &keys(path))
                    .unwrap_or_else(|error| panic!("{again}\n{path} {error}"));
                for note in notes(document) {
                    assert!(gone.contains(&note), "{document}\n-{path}: {note}\n{gone}");
                }
            }
        }
    }
}

#[test]
fn all_else_stays_as_it_is_written() {
    let text = DOCUMENTS[5];
    let edits = [
        ("hostname", "ship"),
        ("dns", "[1.1.1.1]"),
        ("state.dev", "none"),
        ("state.fstype", "xfs"),
        ("password", "'0123'"),
        ("modules", "[loop, dummy]"),
        ("ssh.keys.ed25519", "\"one\\ntwo\\n\""),
        ("state", "{required: true, dev: LABEL=X}"),
        ("dns", "{search: [a.org]}"),
    ];
    let mut shown = String::new();
    for (path, value) in edits {
        let edited = set(text, &keys(path), &serde_yaml::from_str(value).unwrap()).unwrap();
        let changes = similar::TextDiff::from_lines(text, &edited);
        shown += &format!(
            "=== {path}: {value}\n{}",
            changes.unified_diff().context_radius(1)
        );
    }
    for path in ["hostname", "dns", "state.dev", "state"] {
        let edited = remove(text, &keys(path)).unwrap();
        let changes = similar::TextDiff::from_lines(text, &edited);
        shown += &format!(
            "=== without {path}\n{}",
            changes.unified_diff().context_radius(1)
        );
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn what_only_a_person_can_change_is_left_alone() {
    let value = Value::from("x");
    let anchors = "a: &a {b: c}\nd: *a\n";
    assert_eq!(
        set(anchors, &keys("d.b"), &value),
        Err(Error::Through("d".into()))
    );
    assert_eq!(set(anchors, &keys("a"), &value), Err(Error::ByHand));
    assert_eq!(
        set("? a\n: b\n", &keys("a"), &value).unwrap_err(),
        Error::ByHand
    );
    assert_eq!(
        set("dns: [a]\n", &keys("dns.search"), &value),
        Err(Error::Through("dns".into()))
    );
    assert!(matches!(
        set("a: [\n", &keys("a"), &value),
        Err(Error::Yaml(_))
    ));
}

#[test]
fn what_is_set_already_changes_nothing() {
    let text = "hostname:   \"box\" # so\n";
    assert_eq!(set(text, &keys("hostname"), &"box".into()).unwrap(), text);
    assert_eq!(remove(text, &keys("dns")).unwrap(), text);
}

#[test]
fn a_tag_is_in_the_way() {
    for text in [
        "!ours\nhostname: box\n",
        "state: !ours\n  dev: x\n",
        "state: !ours { dev: x }\n",
    ] {
        let done = set(text, &keys("state.dev"), &"y".into());
        assert_eq!(done, Err(Error::ByHand), "{text}");
    }
}
