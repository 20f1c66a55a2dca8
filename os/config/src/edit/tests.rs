//! Applies many edits to many documents.

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

/// The comments of a text, sorted; the comments of `DOCUMENTS` contain no quotes.
fn comments_of(text: &str) -> Vec<String> {
    let mut comments: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.contains("# no comment\n")) {
        if let Some(at) = line.rfind("# ") {
            comments.push(line[at..].trim_end().to_owned());
        }
    }
    comments.retain(|comment| comment != "# no comment");
    comments.sort();
    comments
}

#[test]
fn set_and_remove_work_in_every_document_and_preserve_comments() {
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
                for comment in comments_of(document) {
                    assert!(
                        edited.contains(&comment),
                        "{document}\n{path}: {comment}\n{edited}"
                    );
                }
                let again = set(&edited, &keys(path), &"x".into()).unwrap();
                let removed = remove(&again, &keys(path))
                    .unwrap_or_else(|error| panic!("{again}\n{path} {error}"));
                for comment in comments_of(document) {
                    assert!(
                        removed.contains(&comment),
                        "{document}\n-{path}: {comment}\n{removed}"
                    );
                }
            }
        }
    }
}

#[test]
fn edit_preserves_the_rest_of_the_text() {
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
fn set_fails_when_the_document_uses_unsupported_yaml() {
    let value = Value::from("x");
    let anchors = "a: &a {b: c}\nd: *a\n";
    assert_eq!(
        set(anchors, &keys("d.b"), &value),
        Err(Error::NotAMapping("d".into()))
    );
    assert_eq!(set(anchors, &keys("a"), &value), Err(Error::Unsupported));
    assert_eq!(
        set("? a\n: b\n", &keys("a"), &value).unwrap_err(),
        Error::Unsupported
    );
    assert_eq!(
        set("dns: [a]\n", &keys("dns.search"), &value),
        Err(Error::NotAMapping("dns".into()))
    );
    assert!(matches!(
        set("a: [\n", &keys("a"), &value),
        Err(Error::Yaml(_))
    ));
}

#[test]
fn edit_leaves_the_text_unchanged_when_the_value_is_the_same() {
    let text = "hostname:   \"box\" # so\n";
    assert_eq!(set(text, &keys("hostname"), &"box".into()).unwrap(), text);
    assert_eq!(remove(text, &keys("dns")).unwrap(), text);
}

#[test]
fn set_fails_when_a_parent_has_a_tag() {
    for text in [
        "!ours\nhostname: box\n",
        "state: !ours\n  dev: x\n",
        "state: !ours { dev: x }\n",
    ] {
        let result = set(text, &keys("state.dev"), &"y".into());
        assert_eq!(result, Err(Error::Unsupported), "{text}");
    }
}
