//! The steps of an attempt as bars on one line of time, above how much the serial console said.

use maud::{Markup, html};

use super::duration;
use super::serial::{self, said};
use crate::journal::Journal;
use crate::run::{Attempt, Ran};

/// Columns that the serial console's lines are counted in.
const COLUMNS: usize = 120;
/// Width of a drawing; it is stretched to the width that there is.
const WIDTH: f64 = 1000.0;

pub(super) fn section(id: &str, attempt: &Attempt, journal: &Journal) -> Markup {
    let length = attempt.length().max(0.001);
    html! {
        div.timeline {
            h4 { "Steps" }
            (strip(id, attempt, journal, length))
            ol.steps {
                @for (index, ran) in attempt.steps.iter().enumerate() {
                    (row(id, index, ran, attempt, length))
                }
                @for (number, head) in not_run(attempt) {
                    li.step.not-run {
                        span.name { span.number { (number) } " " (head) }
                        span.took { "not run" }
                    }
                }
            }
        }
    }
}

/// The steps of the scenario after the last one that ran.
fn not_run(attempt: &Attempt) -> impl Iterator<Item = (usize, &str)> {
    let last = attempt.steps.last().map_or(0, |ran| ran.number);
    let heads = attempt.heads.iter().enumerate().skip(last);
    heads.map(|(n, head)| (n + 1, head.what.as_str()))
}

/// All at a glance: a block for each step, and below them the serial console.
fn strip(id: &str, attempt: &Attempt, journal: &Journal, length: f64) -> Markup {
    let columns = columns(attempt, journal, length);
    let most = columns.iter().copied().max().unwrap_or(0).max(1);
    html! {
        svg.strip viewBox="0 0 1000 64" preserveAspectRatio="none" role="img" aria-label="Steps, and lines on the serial console, over time" {
            @for (index, ran) in attempt.steps.iter().enumerate() {
                @let (x, width) = place(ran, attempt, length);
                a href={ "#" (serial::mark_id(id, index)) } tabindex="-1" {
                    rect class=(kind(ran)) x=(x) y="0" width=(width) height="26" {
                        title { (label(ran)) ": " (ran.what) }
                    }
                }
            }
            @for (column, lines) in columns.iter().enumerate().filter(|(_, lines)| **lines > 0) {
                // The square root, so that a boot does not flatten all after it.
                @let height = 34.0 * (*lines as f64 / most as f64).sqrt();
                rect.said x=(round(column as f64 * WIDTH / COLUMNS as f64)) y=(round(64.0 - height))
                    width=(round(WIDTH / COLUMNS as f64 - 1.0)) height=(round(height)) {}
            }
        }
        div.axis aria-hidden="true" {
            span { "0 s" } span { "serial console below the steps" } span { (duration(length)) }
        }
    }
}

/// How many lines came in each part of the time.
fn columns(attempt: &Attempt, journal: &Journal, length: f64) -> [usize; COLUMNS] {
    let mut columns = [0; COLUMNS];
    for at in said(attempt, journal).filter_map(|said| said.at) {
        let part = (at - attempt.at) / length * COLUMNS as f64;
        if (0.0..=COLUMNS as f64).contains(&part) {
            columns[(part as usize).min(COLUMNS - 1)] += 1;
        }
    }
    columns
}

fn row(id: &str, index: usize, ran: &Ran, attempt: &Attempt, length: f64) -> Markup {
    let (x, width) = place(ran, attempt, length);
    html! {
        li class={ "step " (kind(ran)) } id={ (id) "/step-" (index) } {
            a.name href={ "#" (serial::mark_id(id, index)) } {
                span.number { (number(ran)) } " " (ran.what)
            }
            span.took { (outcome(ran)) " " (ran.took.map_or("…".into(), duration)) }
            svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
                rect x=(x) y="0" width=(width) height="10" {}
            }
        }
    }
}

/// Where a step begins and how wide it is, at least so wide that it can be seen.
fn place(ran: &Ran, attempt: &Attempt, length: f64) -> (f64, f64) {
    let from = (ran.at - attempt.at).clamp(0.0, length);
    let took = ran.took.unwrap_or(length - from);
    let width = (took / length * WIDTH).clamp(4.0, WIDTH);
    let x = (from / length * WIDTH).min(WIDTH - width);
    (round(x), round(width))
}

fn round(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

fn kind(ran: &Ran) -> &'static str {
    match (&ran.fault, ran.took) {
        (Some(_), _) => "red",
        (None, Some(_)) if ran.number == 0 => "boot",
        (None, Some(_)) => "passed",
        (None, None) => "not-ended",
    }
}

fn outcome(ran: &Ran) -> &'static str {
    match (&ran.fault, ran.took) {
        (Some(_), _) => "✗ failed",
        (None, Some(_)) => "✓",
        (None, None) => "did not end",
    }
}

fn number(ran: &Ran) -> String {
    if ran.number == 0 {
        "▸".into()
    } else {
        ran.number.to_string()
    }
}

/// What a step is called beside its name.
pub(super) fn label(ran: &Ran) -> String {
    if ran.number == 0 {
        "before the first step".into()
    } else {
        format!("step {}", ran.number)
    }
}
