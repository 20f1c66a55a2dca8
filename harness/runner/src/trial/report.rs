//! The report of a failed trial. It must explain the failure without a second run.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::evidence::Evidence;
use crate::session::{StepFailure, indent};
use base::shell;
use base::text::printable;
use events::SnapshotOutcome;
use machine::{BootEvent, Machine};
use scenario::{Scenario, Setup};

use super::definition::Trial;
use super::failure::{FailedVerdict, Failure, InfrastructureError};

/// How many lines of the serial log are shown; the evidence has the whole log.
const SERIAL_LINES: usize = 40;
/// How many of them follow the line that caused the failure.
const LINES_AFTER: usize = 10;

/// A step that finished.
#[derive(Debug, Clone)]
pub(crate) struct FinishedStep {
    /// Its title.
    pub(crate) title: String,
    /// How long it took.
    pub(crate) duration: Duration,
}

/// A failed trial, and where it failed.
#[derive(Debug)]
pub(crate) struct FailureReport {
    failure: StepFailure,
    place: Place,
    /// The finished steps; the last one failed.
    ran: Vec<FinishedStep>,
    /// The index of the machine that failed.
    machine: usize,
}

/// Where a trial can fail; steps by their index.
#[derive(Debug)]
enum Place {
    Boot,
    Setup(Arc<Setup>, usize),
    Step(usize),
}

impl FailureReport {
    /// The machine did not become ready.
    pub(crate) fn boot(failure: StepFailure, ran: &[FinishedStep]) -> Self {
        Self {
            failure,
            place: Place::Boot,
            ran: ran.to_vec(),
            machine: 0,
        }
    }

    /// A step of a setup failed.
    pub(crate) fn setup(
        failure: StepFailure,
        setup: &Arc<Setup>,
        step: usize,
        ran: &[FinishedStep],
    ) -> Self {
        Self {
            failure,
            place: Place::Setup(Arc::clone(setup), step),
            ran: ran.to_vec(),
            machine: 0,
        }
    }

    /// A step failed.
    pub(crate) fn step(failure: StepFailure, step: usize, ran: &[FinishedStep]) -> Self {
        Self {
            failure,
            place: Place::Step(step),
            ran: ran.to_vec(),
            machine: 0,
        }
    }

    /// Says on which machine it happened.
    pub(super) fn on(self, machine: usize) -> Self {
        Self { machine, ..self }
    }

    /// The index of the machine that failed.
    pub(super) fn machine(&self) -> usize {
        self.machine
    }

    /// Composes the verdict, with the last output of the machine. Control characters are escaped.
    fn compose(
        &self,
        trial: &Trial,
        machine: &Machine,
        evidence: &Evidence,
        snapshot: SnapshotOutcome,
    ) -> FailedVerdict {
        let seen = Seen {
            serial: machine.serial().text(),
            events: machine.boot_events(),
        };
        let mut text = self.text(&trial.scenario, &seen);
        let folder = trial.project.short(evidence.folder().to_owned());
        let folder = shell::quote(&folder.to_string_lossy());
        let _ = write!(text, "\nevidence: {folder}");
        let _ = match &snapshot {
            SnapshotOutcome::Kept { .. } => {
                let machine = self.failure.machine.as_ref();
                let machine = machine.map(|name| format!(" --machine {name}"));
                let machine = machine.unwrap_or_default();
                write!(text, "\nenter:    cargo harness enter {folder}{machine}")
            }
            SnapshotOutcome::NotKept { reason } => {
                write!(
                    text,
                    "\nenter:    not possible, no failure snapshot: {reason}"
                )
            }
        };
        let _ = if trial.scenario.sabotaged {
            write!(text, "\nagain:    cargo harness prove {}", trial.name())
        } else {
            write!(text, "\nagain:    cargo harness replay {folder}")
        };
        FailedVerdict {
            text: printable(&text),
            step: match self.place {
                Place::Step(step) => Some(step + 1),
                Place::Boot | Place::Setup(..) => None,
            },
            machine: snapshot,
            failed_on: self.failure.machine.clone(),
        }
    }

    /// The verdict: `Failed`, or an infrastructure failure if QEMU itself failed.
    pub(crate) fn conclude(
        &self,
        trial: &Trial,
        machine: &Machine,
        evidence: &Evidence,
        snapshot: SnapshotOutcome,
    ) -> Failure {
        let verdict = self.compose(trial, machine, evidence, snapshot);
        if self.failure.is_qemu() {
            InfrastructureError::Qemu {
                reason: self.failure.what.clone(),
                report: verdict.text,
            }
            .into()
        } else {
            Failure::Failed(verdict)
        }
    }

    /// The part of the report that depends on the trial alone.
    pub(super) fn text(&self, scenario: &Scenario, seen: &Seen) -> String {
        let mut text = self.head(scenario);
        let _ = write!(
            text,
            "\n\n{}\n\nsteps:\n{}",
            self.failure.render(),
            self.steps()
        );
        let _ = write!(
            text,
            "\n\nboot events:\n{}",
            indent(&timeline(&seen.events), "  ")
        );
        let _ = write!(text, "\n\n{}\n", console(&seen.serial, &self.failure));
        text
    }

    fn head(&self, scenario: &Scenario) -> String {
        let (file, steps, number, setup) = match &self.place {
            Place::Step(number) => (&scenario.file, &scenario.steps, *number, String::new()),
            Place::Setup(setup, number) => {
                let name = format!(" of the setup {}", setup.name);
                (&setup.file, &setup.steps, *number, name)
            }
            Place::Boot => {
                let file = scenario.file.display();
                return format!("the machine did not become ready\n  --> {file}:1");
            }
        };
        let step = &steps[number];
        let (number, of, line) = (number + 1, steps.len(), step.line);
        let (title, file) = (step.heading(), file.display());
        format!("step {number} of {of}{setup} failed: {title}\n  --> {file}:{line}")
    }

    fn steps(&self) -> String {
        let last = self.ran.len().saturating_sub(1);
        let line = |(n, ran): (usize, &FinishedStep)| {
            let verdict = if n == last { "FAILED" } else { "ok" };
            format!(
                "  {verdict:<6} {:6.1} s  {}",
                ran.duration.as_secs_f64(),
                ran.title
            )
        };
        self.ran
            .iter()
            .enumerate()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// What the machine reported.
pub(crate) struct Seen {
    /// Its serial log.
    pub(crate) serial: String,
    /// Its boot events.
    pub(crate) events: Vec<BootEvent>,
}

/// The boot timeline, one line per stage.
fn timeline(events: &[BootEvent]) -> String {
    if events.is_empty() {
        return "(none)".into();
    }
    let stage = |event: &BootEvent| {
        let failed = event
            .error
            .as_ref()
            .map(|error| format!("  FAILED: {error}"));
        format!(
            "{:8.2} s  {}{}",
            event.seconds,
            event.stage,
            failed.unwrap_or_default()
        )
    };
    events.iter().map(stage).collect::<Vec<_>>().join("\n")
}

/// The end of the serial log, or the lines around the line that caused the failure: the lines
/// before a panic are more informative than those after it.
fn console(serial: &str, failure: &StepFailure) -> String {
    let serial = printable(serial);
    let lines: Vec<&str> = serial.trim_end().lines().collect();
    if lines.is_empty() {
        return "serial console: (no output)".into();
    }
    let cause = failure.console_line().map(printable);
    let is_cause = |line: &&str| cause.as_deref() == Some(line.trim());
    let (head, end) = match lines.iter().position(is_cause) {
        Some(at) => (
            "serial console, around that line",
            lines.len().min(at + 1 + LINES_AFTER),
        ),
        None => ("serial console, last lines", lines.len()),
    };
    let shown = &lines[end.saturating_sub(SERIAL_LINES)..end];
    format!("{head}:\n{}", indent(&shown.join("\n"), "  | "))
}
