//! The steps of an attempt as bars over time, above the number of serial console lines.

use maud::{Markup, html};

use super::format::format_duration;
use super::serial::{self, Console};
use crate::run::{Attempt, StepRun};
use crate::run_log::RunLog;

/// The number of columns of the histogram of serial console lines.
const COLUMNS: usize = 120;
/// The width of the SVG viewport, which the browser scales to the page.
const WIDTH: f64 = 1000.0;

pub(super) fn section(id: &str, attempt: &Attempt, run_log: &RunLog) -> Markup {
    let length = attempt.length().max(0.001);
    html! {
        div.timeline {
            h4 { "Steps" }
            (strip(id, attempt, run_log, length))
            ol.steps {
                @for (index, step) in attempt.steps.iter().enumerate() {
                    (row(id, index, step, attempt, length))
                }
                @for (number, head) in not_run(attempt) {
                    li.step.not-run {
                        span.name { span.number { (number) } " " (head) }
                        span.duration { "not run" }
                    }
                }
            }
        }
    }
}

/// The steps of the scenario that were not run.
fn not_run(attempt: &Attempt) -> impl Iterator<Item = (usize, &str)> {
    let last = attempt.steps.last().map_or(0, |step| step.number);
    let heads = attempt.heads.iter().enumerate().skip(last);
    heads.map(|(n, head)| (n + 1, head.title.as_str()))
}

/// The overview: a block for each step, and the serial console below them.
fn strip(id: &str, attempt: &Attempt, run_log: &RunLog, length: f64) -> Markup {
    let columns = columns(attempt, run_log, length);
    let peak = columns.iter().copied().max().unwrap_or(0).max(1);
    html! {
        svg.strip viewBox="0 0 1000 64" preserveAspectRatio="none" role="img" aria-label="Steps, and lines on the serial console, over time" {
            @for (index, step) in attempt.steps.iter().enumerate() {
                @let (x, width) = place(step, attempt, length);
                a href={ "#" (serial::anchor(id, attempt, index)) } tabindex="-1" {
                    rect class=(kind(step)) x=(x) y="0" width=(width) height="26" {
                        title { (label(step)) ": " (step.title) }
                    }
                }
            }
            @for (column, lines) in columns.iter().enumerate().filter(|(_, lines)| **lines > 0) {
                // The square root keeps later output visible beside that of a boot.
                @let height = 34.0 * (*lines as f64 / peak as f64).sqrt();
                rect.lines x=(round(column as f64 * WIDTH / COLUMNS as f64)) y=(round(64.0 - height))
                    width=(round(WIDTH / COLUMNS as f64 - 1.0)) height=(round(height)) {}
            }
        }
        div.axis aria-hidden="true" {
            span { "0 s" } span { "serial console below the steps" } span { (format_duration(length)) }
        }
    }
}

/// The number of lines in each part of the time.
fn columns(attempt: &Attempt, run_log: &RunLog, length: f64) -> [usize; COLUMNS] {
    let mut columns = [0; COLUMNS];
    let consoles = serial::consoles(attempt, run_log);
    let lines = consoles.iter().flat_map(Console::lines);
    for timestamp in lines.filter_map(|line| line.timestamp) {
        let part = (timestamp - attempt.start) / length * COLUMNS as f64;
        if (0.0..=COLUMNS as f64).contains(&part) {
            columns[(part as usize).min(COLUMNS - 1)] += 1;
        }
    }
    columns
}

fn row(id: &str, index: usize, step: &StepRun, attempt: &Attempt, length: f64) -> Markup {
    let (x, width) = place(step, attempt, length);
    html! {
        li class={ "step " (kind(step)) } id={ (id) "/step-" (index) } {
            a.name href={ "#" (serial::anchor(id, attempt, index)) } {
                span.number { (number(step)) } " " (step.title)
            }
            span.duration { (outcome(step)) " " (step.duration.map_or("…".into(), format_duration)) }
            svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
                rect x=(x) y="0" width=(width) height="10" {}
            }
        }
    }
}

/// The position and width of a step; the width is never too small to see.
fn place(step: &StepRun, attempt: &Attempt, length: f64) -> (f64, f64) {
    let from = (step.start - attempt.start).clamp(0.0, length);
    let duration = step.duration.unwrap_or(length - from);
    let width = (duration / length * WIDTH).clamp(4.0, WIDTH);
    let x = (from / length * WIDTH).min(WIDTH - width);
    (round(x), round(width))
}

fn round(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

fn kind(step: &StepRun) -> &'static str {
    match (&step.failure, step.duration) {
        (Some(_), _) => "failed",
        (None, Some(_)) if step.number == 0 => "boot",
        (None, Some(_)) => "passed",
        (None, None) => "not-ended",
    }
}

fn outcome(step: &StepRun) -> &'static str {
    match (&step.failure, step.duration) {
        (Some(_), _) => "✗ failed",
        (None, Some(_)) => "✓",
        (None, None) => "not ended",
    }
}

fn number(step: &StepRun) -> String {
    if step.number == 0 {
        "▸".into()
    } else {
        step.number.to_string()
    }
}

/// The number of a step as text.
pub(super) fn label(step: &StepRun) -> String {
    if step.number == 0 {
        "before the first step".into()
    } else {
        format!("step {}", step.number)
    }
}
