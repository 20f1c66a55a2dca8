//! Commands that power the machine off.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::value::Pattern;
use super::{Effect, MachineState, StepKind};

/// Runs a command that powers the machine off. It is off when the step ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerOffStep {
    /// The command.
    pub command: String,
    /// The connection that the command uses; the default is `ssh`.
    #[serde(default)]
    pub over: Line,
    /// The machine must halt with the power on, and report that on the serial console.
    #[serde(default)]
    pub halts: bool,
    /// The expected console output before it ends.
    pub says: Option<Pattern>,
}

/// A connection to the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The trial's own login over SSH.
    #[default]
    Ssh,
    /// The serial console, after an earlier step logged in there.
    Serial,
}

impl StepKind for PowerOffStep {
    fn title(&self) -> String {
        format!("power off: {}", self.command)
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(90)
    }

    fn needs_login(&self) -> bool {
        self.over == Line::Ssh
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        let empty = self.command.trim().is_empty();
        let hint = "write a command line, e.g. `sudo poweroff`";
        let path = format!("{path}.command");
        lint.refuse(empty, &path, "the command is empty", hint);
    }

    fn interrupts_guest(&self) -> bool {
        true
    }

    fn effect(&self) -> Effect {
        Effect::Fault
    }

    fn follow(&self, state: &mut MachineState, _: &mut Lint<'_>, _: &str) {
        state.off = true;
    }
}
