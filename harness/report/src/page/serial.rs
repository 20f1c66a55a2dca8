//! The serial console, divided by steps.

use maud::{Markup, html};

use super::timeline::label;
use crate::excerpt::{EvidenceExcerpt, SerialLine};
use crate::run::{Attempt, StepRun};
use crate::run_log::RunLog;

pub(super) fn section(id: &str, attempt: &Attempt, run_log: &RunLog) -> Markup {
    let lines: Vec<&SerialLine> = serial_lines(attempt, run_log).collect();
    let cut: u64 = folders(attempt, run_log).map(|excerpt| excerpt.cut).sum();
    html! {
        div.console {
            h4 { "Serial console" }
            @if cut > 0 {
                p.meta {
                    "The first " (cut.div_ceil(1024)) " KiB are left out here"
                    @if attempt.end.as_ref().is_some_and(|end| end.kept) {
                        "; the evidence has the whole log in " code { "serial.log" }
                    }
                    "."
                }
            }
            @if run_log.excerpts.is_empty() {
                p.meta { "The evidence was deleted before this page was made." }
            }
            div.serial tabindex="0" role="region" aria-label="Serial console" {
                @for (index, step) in attempt.steps.iter().enumerate() {
                    (mark(id, index, step, attempt))
                    (block(&of_step(&lines, attempt, index), attempt))
                }
            }
        }
    }
}

/// The anchor of the console output from the start of a step.
pub(super) fn mark_id(id: &str, index: usize) -> String {
    format!("{id}/serial-{index}")
}

/// The excerpts of an attempt: of the machines that it was forked from, then of its own.
pub(super) fn folders<'a>(
    attempt: &'a Attempt,
    run_log: &'a RunLog,
) -> impl Iterator<Item = &'a EvidenceExcerpt> {
    let all = attempt.parents.iter().chain([&attempt.evidence]);
    all.filter_map(|folder| run_log.excerpts.get(folder))
}

/// The serial lines of these excerpts.
pub(super) fn serial_lines<'a>(
    attempt: &'a Attempt,
    run_log: &'a RunLog,
) -> impl Iterator<Item = &'a SerialLine> {
    folders(attempt, run_log).flat_map(|excerpt| &excerpt.serial)
}

fn mark(id: &str, index: usize, step: &StepRun, attempt: &Attempt) -> Markup {
    let class = if step.failure.is_some() {
        "mark failed"
    } else {
        "mark"
    };
    html! {
        a class=(class) id=(mark_id(id, index)) href={ "#" (id) "/step-" (index) } {
            (since(step.start, attempt)) " " (label(step)) ": " (step.title)
            @if step.failure.is_some() { " ✗ failed" }
        }
    }
}

/// The lines from the start of a step until the start of the next one. Lines without a time belong to
/// the first step.
fn of_step<'a>(lines: &[&'a SerialLine], attempt: &Attempt, index: usize) -> Vec<&'a SerialLine> {
    let start = |index: usize| attempt.steps.get(index).map(|step| step.start);
    let from = if index == 0 { None } else { start(index) };
    let until = start(index + 1);
    let is_here = |line: &&&SerialLine| {
        let timestamp = line.timestamp.unwrap_or(f64::MIN);
        from.is_none_or(|from| timestamp >= from) && until.is_none_or(|until| timestamp < until)
    };
    lines.iter().filter(is_here).copied().collect()
}

fn block(lines: &[&SerialLine], attempt: &Attempt) -> Markup {
    html! {
        @if lines.is_empty() {
            p.silence { "no output" }
        } @else {
            // One text node for all lines: an element per line is slow with thousands of lines.
            pre { @for line in lines { (with_time(line, attempt)) } }
        }
    }
}

fn with_time(line: &SerialLine, attempt: &Attempt) -> String {
    let time = line
        .timestamp
        .map(|timestamp| since(timestamp, attempt))
        .unwrap_or_default();
    format!("{time:>9}  {}\n", line.text)
}

/// A time as seconds since the start of the attempt.
fn since(timestamp: f64, attempt: &Attempt) -> String {
    format!("{:+.1} s", timestamp - attempt.start)
}
