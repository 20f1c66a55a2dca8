//! What a red trial says: enough to know why without running it again.

use std::fmt::Write as _;
use std::time::Duration;

use crate::evidence::Evidence;
use crate::machine::{BootEvent, Machine};
use crate::scenario::Scenario;

use super::Trial;
use super::fault::{Fault, indent, printable};

/// How much of the serial line is shown; all of it is in the evidence.
const SERIAL_LINES: usize = 40;

/// A step that ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What it did.
    pub what: String,
    /// How long it took.
    pub took: Duration,
}

/// A trial that is red, and where.
#[derive(Debug)]
pub struct Red {
    fault: Fault,
    /// Index of the step; none for the boot.
    step: Option<usize>,
    /// What ran, the red one last.
    ran: Vec<Ran>,
}

impl Red {
    /// The machine did not become ready.
    pub fn boot(fault: Fault, ran: &[Ran]) -> Self {
        Self {
            fault,
            step: None,
            ran: ran.to_vec(),
        }
    }

    /// A step did not hold.
    pub fn step(fault: Fault, step: usize, ran: &[Ran]) -> Self {
        Self {
            fault,
            step: Some(step),
            ran: ran.to_vec(),
        }
    }

    /// All there is to say, with what the machine said last.
    pub fn compose(&self, trial: &Trial, machine: &Machine, evidence: &Evidence) -> String {
        let seen = Seen {
            serial: machine.serial().text(),
            events: machine.boot_events(),
        };
        let mut text = self.text(&trial.name(), &trial.scenario, &seen);
        let _ = write!(text, "\nevidence: {}", evidence.folder().display());
        let _ = write!(text, "\nagain:    cargo harness test {}", trial.name());
        text
    }

    /// What depends on the trial alone.
    pub(super) fn text(&self, name: &str, scenario: &Scenario, seen: &Seen) -> String {
        let mut text = self.head(name, scenario);
        let _ = write!(
            text,
            "\n\n{}\n\nsteps:\n{}",
            self.fault.render(),
            self.steps()
        );
        let _ = write!(
            text,
            "\n\nboot events:\n{}",
            indent(&ladder(&seen.events), "  ")
        );
        let _ = write!(
            text,
            "\n\nserial console, last lines:\n{}\n",
            last_lines(&seen.serial)
        );
        text
    }

    fn head(&self, name: &str, scenario: &Scenario) -> String {
        let what = self.ran.last().map_or("boot", |ran| ran.what.as_str());
        let of = scenario.steps.len();
        let (which, line) = match self.step.and_then(|n| Some((n, scenario.steps.get(n)?))) {
            Some((n, step)) => (format!("step {} of {of}", n + 1), step.line),
            None => ("the boot".into(), 1),
        };
        let file = scenario.file.display();
        format!("{name}: {which} failed: {what}\n  --> {file}:{line}")
    }

    fn steps(&self) -> String {
        let last = self.ran.len().saturating_sub(1);
        let line = |(n, ran): (usize, &Ran)| {
            let verdict = if n == last { "FAILED" } else { "ok" };
            format!(
                "  {verdict:<6} {:6.1} s  {}",
                ran.took.as_secs_f64(),
                ran.what
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

/// What the machine said.
pub struct Seen {
    /// On the serial line.
    pub serial: String,
    /// By boot events.
    pub events: Vec<BootEvent>,
}

/// The boot, rung by rung.
pub fn ladder(events: &[BootEvent]) -> String {
    if events.is_empty() {
        return "(none came)".into();
    }
    let rung = |event: &BootEvent| {
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
    events.iter().map(rung).collect::<Vec<_>>().join("\n")
}

fn last_lines(serial: &str) -> String {
    let serial = printable(serial);
    let lines: Vec<&str> = serial.trim_end().lines().collect();
    if lines.is_empty() {
        return "  (nothing came)".into();
    }
    let from = lines.len().saturating_sub(SERIAL_LINES);
    indent(&lines[from..].join("\n"), "  | ")
}
