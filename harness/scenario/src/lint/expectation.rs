//! Expectations about texts that expect nothing, or two things that cannot both be.

use super::super::value::{TextExpectation, Words};
use super::Lint;

/// Looks at what is expected of one text.
pub(super) fn text(lint: &mut Lint<'_>, expected: Option<&TextExpectation>, path: &str) {
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
        lint.key(path, "this expects nothing", hint);
    }
    if equals.is_some() && (matches.is_some() || words || snapshot.is_some()) {
        let hint = "`equals` says all there is to say; leave the others away";
        lint.key(
            &format!("{path}.equals"),
            "`equals` stands with other expectations",
            hint,
        );
    }
    if !filters.is_empty() && snapshot.is_none() {
        let hint = "filters are for a `snapshot`";
        lint.key(
            &format!("{path}.filters"),
            "these filters are never used",
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
            "this cannot be the name of a file",
            hint,
        );
    }
    some(lint, contains.as_ref(), &format!("{path}.contains"));
    some(lint, lacks.as_ref(), &format!("{path}.lacks"));
}

/// An exit status that no command can have.
pub(super) fn exit(lint: &mut Lint<'_>, exit: Option<i64>, path: &str) {
    if exit.is_some_and(|exit| !(0..=255).contains(&exit)) {
        let message = "no command ends with this exit status";
        lint.value(path, message, "write a number from 0 to 255");
    }
}

/// A list of words with no word in it, or with an empty one, holds always.
pub(super) fn some(lint: &mut Lint<'_>, words: Option<&Words>, path: &str) {
    if words.is_some_and(|words| words.0.is_empty() || words.0.iter().any(String::is_empty)) {
        lint.value(
            path,
            "there is nothing to look for",
            "write at least one word",
        );
    }
}
