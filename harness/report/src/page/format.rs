//! Texts and badges that several sections use.

use std::time::{Duration, UNIX_EPOCH};

use maud::{Markup, html};

use crate::run::Outcome;

/// The first line of the reason of a trial.
pub(super) fn gist(reason: &str) -> &str {
    reason.lines().next().unwrap_or_default()
}

/// An outcome with a symbol, so that it does not depend on colour.
pub(super) fn badge(outcome: Outcome) -> Markup {
    html! { span class={ "badge " (class(outcome)) } { (mark(outcome)) " " (outcome.word()) } }
}

pub(super) fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Failed => "✗",
        Outcome::Error => "!",
        Outcome::NotEnded => "…",
        Outcome::Flaky => "~",
        Outcome::KnownFailure => "≈",
        Outcome::Ignored => "–",
        Outcome::Passed => "✓",
    }
}

pub(super) fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Failed => "failed",
        Outcome::Error => "error",
        Outcome::NotEnded => "not-ended",
        Outcome::Flaky => "flaky",
        Outcome::KnownFailure => "known",
        Outcome::Ignored => "ignored",
        Outcome::Passed => "passed",
    }
}

/// `3.2 s`, `1 min 05 s`.
pub(super) fn format_duration(seconds: f64) -> String {
    // Rounding first: 59.96 s is a minute.
    match (seconds * 10.0).round() / 10.0 {
        s if s < 60.0 => format!("{s:.1} s"),
        s => format!(
            "{:.0} min {:02.0} s",
            (s / 60.0).floor(),
            (s % 60.0).floor()
        ),
    }
}

pub(super) fn date(timestamp: f64) -> String {
    let time = UNIX_EPOCH + Duration::try_from_secs_f64(timestamp).unwrap_or_default();
    let date = humantime::format_rfc3339_seconds(time).to_string();
    date.replace('T', " ").replace('Z', " UTC")
}
