//! The serial console, cut at the steps.

use maud::{Markup, html};

use super::timeline::label;
use crate::journal::Journal;
use crate::run::{Attempt, Ran};
use crate::taken::{Said, Taken};

pub(super) fn section(id: &str, attempt: &Attempt, journal: &Journal) -> Markup {
    let lines: Vec<&Said> = said(attempt, journal).collect();
    let cut: u64 = folders(attempt, journal).map(|taken| taken.cut).sum();
    html! {
        div.console {
            h4 { "Serial console" }
            @if cut > 0 {
                p.meta {
                    "The first " (cut.div_ceil(1024)) " KiB are left out here"
                    @if attempt.end.as_ref().is_some_and(|end| end.kept) {
                        "; what its evidence holds is whole in " code { "serial.log" }
                    }
                    "."
                }
            }
            @if journal.taken.is_empty() {
                p.meta { "The evidence was gone when this page was made." }
            }
            div.serial tabindex="0" role="region" aria-label="Serial console" {
                @for (index, ran) in attempt.steps.iter().enumerate() {
                    (mark(id, index, ran, attempt))
                    (block(&of_step(&lines, attempt, index), attempt))
                }
            }
        }
    }
}

/// The anchor of what was said from the beginning of a step on.
pub(super) fn mark_id(id: &str, index: usize) -> String {
    format!("{id}/serial-{index}")
}

/// What is there of the machines of an attempt: those that it was forked from, then its own.
pub(super) fn folders<'a>(
    attempt: &'a Attempt,
    journal: &'a Journal,
) -> impl Iterator<Item = &'a Taken> {
    let all = attempt.parents.iter().chain([&attempt.evidence]);
    all.filter_map(|folder| journal.taken.get(folder))
}

/// Their lines.
pub(super) fn said<'a>(
    attempt: &'a Attempt,
    journal: &'a Journal,
) -> impl Iterator<Item = &'a Said> {
    folders(attempt, journal).flat_map(|taken| &taken.serial)
}

fn mark(id: &str, index: usize, ran: &Ran, attempt: &Attempt) -> Markup {
    let red = if ran.fault.is_some() {
        "mark red"
    } else {
        "mark"
    };
    html! {
        a class=(red) id=(mark_id(id, index)) href={ "#" (id) "/step-" (index) } {
            (since(ran.at, attempt)) " " (label(ran)) ": " (ran.what)
            @if ran.fault.is_some() { " ✗ failed" }
        }
    }
}

/// What was said from the beginning of a step until that of the next. What nobody knows the time of
/// stands before all.
fn of_step<'a>(lines: &[&'a Said], attempt: &Attempt, index: usize) -> Vec<&'a Said> {
    let begins = |index: usize| attempt.steps.get(index).map(|ran| ran.at);
    let from = if index == 0 { None } else { begins(index) };
    let until = begins(index + 1);
    let here = |said: &&&Said| {
        let at = said.at.unwrap_or(f64::MIN);
        from.is_none_or(|from| at >= from) && until.is_none_or(|until| at < until)
    };
    lines.iter().filter(here).copied().collect()
}

fn block(lines: &[&Said], attempt: &Attempt) -> Markup {
    html! {
        @if lines.is_empty() {
            p.silence { "nothing was said" }
        } @else {
            // One element a line: thousands of them must not be slow.
            pre { @for said in lines { (stamped(said, attempt)) } }
        }
    }
}

fn stamped(said: &Said, attempt: &Attempt) -> String {
    let at = said.at.map(|at| since(at, attempt)).unwrap_or_default();
    format!("{at:>9}  {}\n", said.text)
}

/// Seconds since the trial began.
fn since(at: f64, attempt: &Attempt) -> String {
    format!("{:+.1} s", at - attempt.at)
}
