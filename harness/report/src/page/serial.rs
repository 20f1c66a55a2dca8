//! The serial consoles, divided by steps.

use std::path::PathBuf;

use maud::{Markup, html};

use super::timeline::label;
use crate::excerpt::{EvidenceExcerpt, SerialLine};
use crate::run::{Attempt, StepRun};
use crate::run_log::RunLog;

/// The console of a machine.
pub(super) struct Console<'a> {
    /// Its name, if there are several.
    pub machine: Option<&'a str>,
    /// In the order of time.
    pub excerpts: Vec<&'a EvidenceExcerpt>,
}

/// The consoles of an attempt. Each begins with that of the machine that it was forked from. If all of several
/// machines were forked from one, that has a console of its own.
pub(super) fn consoles<'a>(attempt: &'a Attempt, run_log: &'a RunLog) -> Vec<Console<'a>> {
    let before = |machine: Option<&str>| -> Vec<&'a EvidenceExcerpt> {
        let parents = attempt.parents.iter();
        let named = parents.filter(|(name, _)| name.as_deref() == machine);
        let excerpts = named.filter_map(|(_, folder)| run_log.excerpts.get(folder));
        excerpts.collect()
    };
    let of_machine = |(machine, folder): (Option<&'a str>, PathBuf)| Console {
        machine,
        excerpts: before(machine)
            .into_iter()
            .chain(run_log.excerpts.get(&folder))
            .collect(),
    };
    let common = Console {
        machine: None,
        excerpts: before(None),
    };
    let is_shown = !attempt.machines.is_empty() && !common.excerpts.is_empty();
    let common = is_shown.then_some(common);
    let machines = attempt.logs().into_iter().map(of_machine);
    common.into_iter().chain(machines).collect()
}

pub(super) fn section(id: &str, attempt: &Attempt, run_log: &RunLog) -> Markup {
    html! {
        @if run_log.excerpts.is_empty() {
            p.meta { "The evidence was deleted before this page was made." }
        }
        @for console in consoles(attempt, run_log) { (one(id, &console, attempt)) }
    }
}

fn one(id: &str, console: &Console<'_>, attempt: &Attempt) -> Markup {
    let lines: Vec<&SerialLine> = console.lines().collect();
    let cut: u64 = console.excerpts.iter().map(|excerpt| excerpt.cut).sum();
    let title = console.title(attempt);
    html! {
        div.console {
            h4 { (title) }
            @if cut > 0 {
                p.meta {
                    "The first " (cut.div_ceil(1024)) " KiB are left out here"
                    @if attempt.end.as_ref().is_some_and(|end| end.kept) {
                        "; the evidence has the whole log in " code { (console.file()) }
                    }
                    "."
                }
            }
            div.serial tabindex="0" role="region" aria-label=(title) {
                @for (index, step) in attempt.steps.iter().enumerate() {
                    (mark(id, console.machine, index, step, attempt))
                    (block(&of_step(&lines, attempt, index), attempt))
                }
            }
        }
    }
}

impl<'a> Console<'a> {
    /// Its lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &'a SerialLine> {
        self.excerpts.iter().flat_map(|excerpt| &excerpt.serial)
    }

    fn title(&self, attempt: &Attempt) -> String {
        match self.machine {
            Some(name) => format!("Serial console of {name}"),
            None if attempt.machines.is_empty() => "Serial console".into(),
            None => "Serial console of the machine that they were forked from".into(),
        }
    }

    fn file(&self) -> String {
        match self.machine {
            Some(name) => format!("{name}/serial.log"),
            None => "serial.log".into(),
        }
    }
}

/// The anchor of the output of a console from the start of a step.
fn mark_id(id: &str, machine: Option<&str>, index: usize) -> String {
    match machine {
        Some(name) => format!("{id}/serial-{name}-{index}"),
        None => format!("{id}/serial-{index}"),
    }
}

/// The anchor of the output during a step, on the machine that failed or the first one that the step is about.
pub(super) fn anchor(id: &str, attempt: &Attempt, index: usize) -> String {
    let step = attempt.steps.get(index);
    let failed = step.and_then(|step| step.failed_on.as_ref());
    let about = step.and_then(|step| step.on.first());
    let machine = failed.or(about).or(attempt.machines.first());
    let machine = machine.filter(|name| attempt.machines.contains(name));
    mark_id(id, machine.map(String::as_str), index)
}

fn mark(
    id: &str,
    machine: Option<&str>,
    index: usize,
    step: &StepRun,
    attempt: &Attempt,
) -> Markup {
    let is_here = step.failed_on.is_none() || step.failed_on.as_deref() == machine;
    let failed = step.failure.is_some() && is_here;
    html! {
        a.mark.failed[failed] id=(mark_id(id, machine, index)) href={ "#" (id) "/step-" (index) } {
            (since(step.start, attempt)) " " (label(step)) ": " (step.title)
            @if failed { " ✗ failed" }
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
