//! One trial, collapsed until it is opened.

use maud::{Markup, html};

use super::format::{badge, class, date, format_duration, gist};
use super::serial::{self, Console};
use super::{boots, commands, timeline};
use crate::history::PastBoot;
use crate::run::{Attempt, TestResult};
use crate::run_log::RunLog;
use events::Verdict;

pub(super) fn section(result: &TestResult, run_log: &RunLog, history: &[PastBoot]) -> Markup {
    let outcome = result.outcome();
    let about = result.attempts.last().map(|last| last.about.trim());
    html! {
        details.trial id=(result.name) data-verdict=(class(outcome)) data-profile=(result.profile()) {
            summary {
                (badge(outcome))
                h3 { (result.name) }
                @if let Some(duration) = result.duration() { span.duration { (format_duration(duration)) } }
                @if let Some(about) = about { span.about { (about) } }
            }
            div.body {
                @if result.attempts.is_empty() {
                    p { (result.reason().unwrap_or("It did not start.")) }
                }
                @for (number, attempt) in result.attempts.iter().enumerate() {
                    (one(result, number, attempt, run_log, history))
                }
            }
        }
    }
}

fn one(
    result: &TestResult,
    number: usize,
    attempt: &Attempt,
    run_log: &RunLog,
    history: &[PastBoot],
) -> Markup {
    let many = result.attempts.len() > 1;
    let id = if many {
        format!("{}~{}", result.name, number + 1)
    } else {
        result.name.clone()
    };
    html! {
        @if many { h4.attempt { "Attempt " (number + 1) ": " (ending(attempt)) } }
        p.meta { (date(attempt.start)) " · " code { (attempt.file.display()) } }
        @for note in &attempt.notes { p.note { "⚠ " (note) } }
        (failure(attempt))
        (commands::list(result, attempt))
        (timeline::section(&id, attempt, run_log))
        @for (machine, boot) in &attempt.boots { (boots::timeline(machine.as_deref(), boot, history)) }
        @for console in serial::consoles(attempt, run_log) { (pictures(attempt, &console)) }
        (serial::section(&id, attempt, run_log))
        @if let Some(reason) = attempt.end.as_ref().and_then(|end| end.reason.as_deref()) {
            details.more {
                summary { "Full text of the verdict" }
                pre tabindex="0" { (reason) }
            }
        }
    }
}

fn ending(attempt: &Attempt) -> &'static str {
    match attempt.end.as_ref().map(|end| end.verdict) {
        Some(Verdict::Passed | Verdict::Flaky) => "passed",
        Some(Verdict::KnownFailure) => "known failure",
        Some(Verdict::Failed) => "failed",
        Some(Verdict::Error) => "error",
        None => "not ended",
    }
}

/// The failure of the failed step; without one, the reason of the verdict.
fn failure(attempt: &Attempt) -> Markup {
    let Some(end) = attempt.end.as_ref().filter(|end| end.reason.is_some()) else {
        return html! {};
    };
    let reason = end.reason.as_deref().unwrap_or_default();
    let failed = attempt
        .steps
        .iter()
        .rev()
        .find(|step| step.failure.is_some());
    let text = failed
        .and_then(|step| step.failure.as_deref())
        .unwrap_or(reason);
    html! {
        div.failure {
            h4 { (gist(reason)) }
            @if let (Some(step), Some(_)) = (failed, end.step) {
                p.meta {
                    code { (attempt.file.display()) ":" (step.line) }
                    @if let Some(machine) = attempt.failed_on() { " · on machine " strong { (machine) } }
                }
            }
            pre tabindex="0" { (outdent(text)) }
        }
    }
}

/// Removes the indent of two spaces that failures have in verdicts.
fn outdent(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .collect();
    lines.join("\n")
}

fn pictures(attempt: &Attempt, console: &Console<'_>) -> Markup {
    let passed = attempt
        .end
        .as_ref()
        .is_none_or(|end| end.verdict == Verdict::Passed);
    let of = console.machine.map(|name| format!(" of {name}"));
    let at = if passed { "" } else { " at the failure" };
    let caption = format!("The screen{}{at}", of.unwrap_or_default());
    html! {
        @for picture in console.excerpts.iter().flat_map(|excerpt| &excerpt.pictures) {
            figure {
                img src={ "data:image/png;base64," (picture.png) } alt={ (caption) " (" (picture.name) ")" } loading="lazy";
                figcaption { (caption) }
            }
        }
    }
}
