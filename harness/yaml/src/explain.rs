//! Translates messages of serde into the terms of YAML, and adds hints.

use std::sync::LazyLock;

use regex::Regex;

/// A translated message.
pub(super) struct Explained {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) at: At,
}

/// Whether the error is about the key or its value.
pub(super) enum At {
    Key,
    Value,
}

static UNKNOWN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^unknown (field|variant) `([^`]*)`, (?:expected|there are no)").expect("a regex")
});
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new("`([^`]+)`").expect("a regex"));
static MISSING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^missing field `([^`]+)`").expect("a regex"));
static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"expected [ui](8|16|32|64|size)$").expect("a regex"));

/// A part of the messages of types that parse durations, which contain their own hint.
const DURATION: &str = "expected a duration";
static STRUCT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("expected (struct|internally tagged enum) .+$").expect("a regex"));
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^invalid type: string "([a-z_]+)", expected struct "#).expect("a regex")
});

/// The hint for a word in place of a mapping: `- reboot`.
fn not_a_mapping(message: &str) -> Option<String> {
    let word = &WORD.captures(message)?[1];
    Some(format!("write `{word}: {{}}`, or `{word}:` and its keys"))
}

/// Translates a message of serde.
pub(super) fn explain(message: &str) -> Explained {
    if let Some(found) = UNKNOWN.captures(message) {
        let known: Vec<&str> = QUOTED
            .captures_iter(message)
            .skip(1)
            .map(|c| c.extract::<1>().1[0])
            .collect();
        let (what, at) = match &found[1] {
            "field" => ("key", At::Key),
            _ => ("value", At::Value),
        };
        let message = format!("unknown {what} `{}`", &found[2]);
        return Explained {
            message,
            hint: Some(suggest(&found[2], &known)),
            at,
        };
    }
    if let Some(found) = MISSING.captures(message) {
        let hint = Some(format!("add `{}:`", &found[1]));
        return Explained {
            message: format!("missing key `{}`", &found[1]),
            hint,
            at: At::Key,
        };
    }
    let hint = match message {
        message if message.contains(DURATION) => None,
        message if message.ends_with("expected a string") => Some("put it in quotes".to_owned()),
        message => not_a_mapping(message),
    };
    let message = NUMBER.replace(message, "expected a whole number");
    let message = STRUCT.replace(&message, "expected a mapping").into_owned();
    Explained {
        message,
        hint,
        at: At::Value,
    }
}

fn suggest(word: &str, known: &[&str]) -> String {
    let list = known
        .iter()
        .map(|k| format!("`{k}`"))
        .collect::<Vec<_>>()
        .join(", ");
    match closest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? expected one of: {list}"),
        None if known.is_empty() => "no keys are expected here".into(),
        None => format!("expected one of: {list}"),
    }
}

/// The known word that is most similar to `word`, if one is similar enough.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|near| (strsim::normalized_damerau_levenshtein(word, near), near))
        .filter(|(similarity, _)| *similarity >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, near)| near)
}
