//! Serde's messages in the words of somebody who writes YAML, with a hint.

use std::sync::LazyLock;

use regex::Regex;

/// What serde meant.
pub(super) struct Explained {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) at: At,
}

/// Whether the key is wrong or what stands behind it.
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

/// What a type that reads times says it expects.
const A_TIME: &str = "expected a time";
static STRUCT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("expected (struct|internally tagged enum) .+$").expect("a regex"));
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^invalid type: string "([a-z_]+)", expected struct "#).expect("a regex")
});

/// What to write where a word stands instead of a mapping: `- reboot`.
fn not_a_mapping(message: &str) -> Option<String> {
    let word = &WORD.captures(message)?[1];
    Some(format!("write `{word}: {{}}`, or `{word}:` and its keys"))
}

/// Takes a message of serde apart.
pub(super) fn explain(message: &str) -> Explained {
    if let Some(found) = UNKNOWN.captures(message) {
        let known: Vec<&str> = QUOTED
            .captures_iter(message)
            .skip(1)
            .map(|c| c.extract::<1>().1[0])
            .collect();
        let (what, at) = match &found[1] {
            "field" => ("key", At::Key),
            _ => ("word", At::Value),
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
            message: format!("the key `{}` is missing", &found[1]),
            hint,
            at: At::Key,
        };
    }
    let hint = match message {
        message if message.contains(A_TIME) => None,
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
        Some(near) => format!("did you mean `{near}`? known here: {list}"),
        None if known.is_empty() => "nothing is known here".into(),
        None => format!("known here: {list}"),
    }
}

/// The known word that `word` is most likely a slip of.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|near| (strsim::normalized_damerau_levenshtein(word, near), near))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, near)| near)
}
