//! The end of faults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::{Effect, MachineState, StepKind};

/// The faults to revert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Undone {
    /// All faults.
    All,
    /// The clock.
    Clock,
    /// All disks.
    Disk,
    /// The memory.
    Memory,
    /// All network interfaces.
    Network,
}

impl Undone {
    /// The name as scenario files contain it.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl StepKind for Undone {
    fn title(&self) -> String {
        format!("undo: {}", self.name())
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn needs_login(&self) -> bool {
        *self == Self::Clock
    }

    fn needs_guest(&self) -> bool {
        !matches!(self, Self::All | Self::Disk)
    }

    fn interrupts_guest(&self) -> bool {
        true
    }

    fn can_fail(&self) -> bool {
        false
    }

    fn effect(&self) -> Effect {
        Effect::Fault
    }

    fn follow(&self, state: &mut MachineState, lint: &mut Lint<'_>, path: &str) {
        state.undo(*self, lint, path);
    }
}
