//! One trial, folded away until it is asked for.

use maud::{Markup, html};

use super::{badge, boots, class, commands, date, duration, gist, serial, timeline};
use crate::history::Booted;
use crate::journal::Journal;
use crate::run::{Attempt, Tried};
use crate::taken::Taken;
use events::Verdict;

pub(super) fn section(tried: &Tried, journal: &Journal, history: &[Booted]) -> Markup {
    let outcome = tried.outcome();
    let about = tried.attempts.last().map(|last| last.about.trim());
    html! {
        details.trial id=(tried.name) data-verdict=(class(outcome)) data-profile=(tried.profile()) {
            summary {
                (badge(outcome))
                h3 { (tried.name) }
                @if let Some(took) = tried.took() { span.took { (duration(took)) } }
                @if let Some(about) = about { span.about { (about) } }
            }
            div.body {
                @if tried.attempts.is_empty() {
                    p { (tried.why().unwrap_or("It did not begin.")) }
                }
                @for (number, attempt) in tried.attempts.iter().enumerate() {
                    (one(tried, number, attempt, journal, history))
                }
            }
        }
    }
}

fn one(
    tried: &Tried,
    number: usize,
    attempt: &Attempt,
    journal: &Journal,
    history: &[Booted],
) -> Markup {
    let many = tried.attempts.len() > 1;
    let id = if many {
        format!("{}~{}", tried.name, number + 1)
    } else {
        tried.name.clone()
    };
    html! {
        @if many { h4.attempt { "Attempt " (number + 1) ": " (ending(attempt)) } }
        p.meta { (date(attempt.at)) " · " code { (attempt.file.display()) } }
        @for note in &attempt.notes { p.note { "⚠ " (note) } }
        (fault(tried, attempt))
        (commands::list(tried, attempt))
        (timeline::section(&id, attempt, journal))
        @for boot in &attempt.boots { (boots::ladder(boot, history)) }
        @for taken in serial::folders(attempt, journal) { (pictures(attempt, taken)) }
        (serial::section(&id, attempt, journal))
        @if let Some(why) = attempt.end.as_ref().and_then(|end| end.why.as_deref()) {
            details.more {
                summary { "All that the verdict says" }
                pre tabindex="0" { (why) }
            }
        }
    }
}

fn ending(attempt: &Attempt) -> &'static str {
    match attempt.end.as_ref().map(|end| end.verdict) {
        Some(Verdict::Passed | Verdict::Flaky) => "passed",
        Some(Verdict::KnownFailure) => "known failure",
        Some(Verdict::Red) => "red",
        Some(Verdict::NoVerdict) => "no verdict",
        None => "not ended",
    }
}

/// The fault of the red step, or what else there is to say.
fn fault(tried: &Tried, attempt: &Attempt) -> Markup {
    let Some(end) = attempt.end.as_ref().filter(|end| end.why.is_some()) else {
        return html! {};
    };
    let why = end.why.as_deref().unwrap_or_default();
    let red = attempt.steps.iter().rev().find(|ran| ran.fault.is_some());
    let text = red.and_then(|ran| ran.fault.as_deref()).unwrap_or(why);
    html! {
        div.fault {
            h4 { (gist(why, &tried.name)) }
            @if let (Some(ran), Some(_)) = (red, end.step) {
                p.meta { code { (attempt.file.display()) ":" (ran.line) } }
            }
            pre tabindex="0" { (outdent(text)) }
        }
    }
}

/// Without the margin that a fault has among other texts.
fn outdent(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .collect();
    lines.join("\n")
}

fn pictures(attempt: &Attempt, taken: &Taken) -> Markup {
    let red = attempt
        .end
        .as_ref()
        .is_some_and(|end| end.verdict != Verdict::Passed);
    let what = if red {
        "The screen when it went red"
    } else {
        "The screen"
    };
    html! {
        @for picture in &taken.pictures {
            figure {
                img src={ "data:image/png;base64," (picture.png) } alt={ (what) " (" (picture.name) ")" } loading="lazy";
                figcaption { (what) }
            }
        }
    }
}
