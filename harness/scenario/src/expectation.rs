//! Expectations of texts and exit statuses, with their checks: empty ones, and combinations that contradict
//! each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::collector::Lint;
use super::value::{Pattern, Words};

/// The expectation of a text (stdout, stderr). All given keys must match.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextExpectation {
    /// The whole text; one newline at the end is ignored.
    pub equals: Option<String>,
    /// A regular expression that matches anywhere in the text.
    pub matches: Option<Pattern>,
    /// Texts that must occur.
    pub contains: Option<Words>,
    /// Texts that must not occur.
    pub lacks: Option<Words>,
    /// The name of an insta snapshot in the scenarios folder (`snapshots/NAME.snap`).
    pub snapshot: Option<String>,
    /// Replacements for parts that differ between runs, applied before the snapshot is compared.
    #[serde(default)]
    pub filters: Vec<Filter>,
}

/// One replacement before a snapshot is compared.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What to replace.
    pub pattern: Pattern,
    /// The replacement; `$1` is the first group.
    pub replacement: String,
}

/// Checks the expectation of one text.
pub(crate) fn text(lint: &mut Lint<'_>, expected: Option<&TextExpectation>, path: &str) {
    let Some(expected) = expected else { return };
    let TextExpectation {
        equals,
        matches,
        contains,
        lacks,
        snapshot,
        filters,
    } = expected;
    let words = contains.is_some() || lacks.is_some();
    if equals.is_none() && matches.is_none() && !words && snapshot.is_none() {
        let hint = "write `equals`, `matches`, `contains`, `lacks` or `snapshot`";
        lint.key(path, "no expectation", hint);
    }
    if equals.is_some() && (matches.is_some() || words || snapshot.is_some()) {
        let hint = "`equals` already fixes the whole text; remove the other keys";
        lint.key(
            &format!("{path}.equals"),
            "`equals` cannot be combined with other expectations",
            hint,
        );
    }
    if !filters.is_empty() && snapshot.is_none() {
        let hint = "add `snapshot`, or remove `filters`";
        lint.key(
            &format!("{path}.filters"),
            "`filters` has no effect without `snapshot`",
            hint,
        );
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if snapshot
        .as_ref()
        .is_some_and(|name| name.is_empty() || !name.chars().all(plain))
    {
        let hint = "use letters, digits, `-` and `_`";
        lint.value(
            &format!("{path}.snapshot"),
            "not a valid snapshot name",
            hint,
        );
    }
    not_empty(lint, contains.as_ref(), &format!("{path}.contains"));
    not_empty(lint, lacks.as_ref(), &format!("{path}.lacks"));
}

/// Refuses an exit status outside 0..=255.
pub(crate) fn exit(lint: &mut Lint<'_>, exit: Option<i64>, path: &str) {
    if exit.is_some_and(|exit| !(0..=255).contains(&exit)) {
        let message = "not an exit status";
        lint.value(path, message, "write a number from 0 to 255");
    }
}

/// Refuses an empty list and an empty string: both match every text.
pub(crate) fn not_empty(lint: &mut Lint<'_>, words: Option<&Words>, path: &str) {
    if words.is_some_and(|words| words.0.is_empty() || words.0.iter().any(String::is_empty)) {
        lint.value(
            path,
            "an empty string matches every text",
            "write at least one non-empty string",
        );
    }
}
