//! What a red trial says: enough to know why without running it again.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::evidence::Evidence;
use base::shell;
use machine::{BootEvent, Machine};
use scenario::{Scenario, Setup};

use super::fault::{Fault, indent, printable};
use super::{Failure, RedVerdict, Trial};
use events::Fate;

/// How much of the serial line is shown; all of it is in the evidence.
const SERIAL_LINES: usize = 40;
/// How many of them stand after the line that the fault is about.
const LINES_AFTER: usize = 10;

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
    place: Place,
    /// What ran, the red one last.
    ran: Vec<Ran>,
}

/// Where a trial can be red; steps by their index.
#[derive(Debug)]
enum Place {
    Boot,
    Setup(Arc<Setup>, usize),
    Step(usize),
}

impl Red {
    /// The machine did not become ready.
    pub fn boot(fault: Fault, ran: &[Ran]) -> Self {
        Self {
            fault,
            place: Place::Boot,
            ran: ran.to_vec(),
        }
    }

    /// A step of a setup did not hold.
    pub fn setup(fault: Fault, setup: &Arc<Setup>, step: usize, ran: &[Ran]) -> Self {
        Self {
            fault,
            place: Place::Setup(Arc::clone(setup), step),
            ran: ran.to_vec(),
        }
    }

    /// A step did not hold.
    pub fn step(fault: Fault, step: usize, ran: &[Ran]) -> Self {
        Self {
            fault,
            place: Place::Step(step),
            ran: ran.to_vec(),
        }
    }

    /// All there is to say, with what the machine said last.
    fn compose(
        &self,
        trial: &Trial,
        machine: &Machine,
        evidence: &Evidence,
        fate: Fate,
    ) -> RedVerdict {
        let seen = Seen {
            serial: machine.serial().text(),
            events: machine.boot_events(),
        };
        let mut text = self.text(&trial.name(), &trial.scenario, &seen);
        let folder = short(evidence.folder());
        let _ = write!(text, "\nevidence: {folder}");
        let _ = match &fate {
            Fate::Yes { .. } => write!(text, "\nenter:    cargo harness enter {folder}"),
            Fate::No { why } => write!(text, "\nenter:    no, the machine is not kept: {why}"),
        };
        let _ = match trial.scenario.sabotaged {
            true => write!(text, "\nagain:    cargo harness prove {}", trial.name()),
            false => write!(text, "\nagain:    cargo harness replay {folder}"),
        };
        RedVerdict {
            text,
            step: match self.place {
                Place::Step(step) => Some(step + 1),
                Place::Boot | Place::Setup(..) => None,
            },
            machine: fate,
        }
    }

    /// The verdict. Where QEMU failed there is none.
    pub fn conclude(
        &self,
        trial: &Trial,
        machine: &Machine,
        evidence: &Evidence,
        fate: Fate,
    ) -> Failure {
        let red = self.compose(trial, machine, evidence, fate);
        if self.fault.is_qemu {
            Failure::Infrastructure(red.text)
        } else {
            Failure::Red(red)
        }
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
        let _ = write!(text, "\n\n{}\n", console(&seen.serial, &self.fault));
        text
    }

    fn head(&self, name: &str, scenario: &Scenario) -> String {
        let (file, steps, number, of_what) = match &self.place {
            Place::Step(number) => (&scenario.file, &scenario.steps, *number, String::new()),
            Place::Setup(setup, number) => {
                let of_what = format!(" of the setup {}", setup.name);
                (&setup.file, &setup.steps, *number, of_what)
            }
            Place::Boot => {
                let file = scenario.file.display();
                return format!("{name}: the machine did not become ready\n  --> {file}:1");
            }
        };
        let step = &steps[number];
        let (number, of, line) = (number + 1, steps.len(), step.line);
        let (what, file) = (step.title(), file.display());
        format!("{name}: step {number} of {of}{of_what} failed: {what}\n  --> {file}:{line}")
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

/// As one would type it here.
fn short(folder: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let folder = folder.strip_prefix(here).unwrap_or(folder);
    shell::quote(&folder.to_string_lossy())
}

/// What the machine said.
pub struct Seen {
    /// On the serial line.
    pub serial: String,
    /// By boot events.
    pub events: Vec<BootEvent>,
}

/// The boot, rung by rung.
fn ladder(events: &[BootEvent]) -> String {
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

/// The end of the serial log, or what stands around the line that the fault is about: the lines
/// after a panic say less than those before it.
fn console(serial: &str, fault: &Fault) -> String {
    let serial = printable(serial);
    let lines: Vec<&str> = serial.trim_end().lines().collect();
    if lines.is_empty() {
        return "serial console: (nothing came)".into();
    }
    let about = |line: &&str| !line.trim().is_empty() && fault.what.ends_with(line.trim());
    let (head, end) = match lines.iter().position(about) {
        Some(at) => (
            "serial console, around that line",
            lines.len().min(at + 1 + LINES_AFTER),
        ),
        None => ("serial console, last lines", lines.len()),
    };
    let shown = &lines[end.saturating_sub(SERIAL_LINES)..end];
    format!("{head}:\n{}", indent(&shown.join("\n"), "  | "))
}
