//! Parts of titles.

use std::time::Duration;

use super::super::value::Span;

/// The first line, shortened to 60 characters.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.trim().lines().next().unwrap_or_default();
    let more = text.trim().lines().count() > 1 || line.chars().count() > LONGEST;
    let line: String = line.chars().take(LONGEST).collect();
    if more { format!("{line} ...") } else { line }
}

/// ` for 5s`; nothing without a duration.
pub(super) fn lasting(span: Option<Span>) -> String {
    span.map(|span| format!(" for {}", time(span.0)))
        .unwrap_or_default()
}

/// `1h 30m`.
pub(super) fn time(length: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(length)
}
