//! Memory that the balloon takes.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::{Effect, MachineState, StepKind, Undone};

/// Takes memory from the machine with its balloon device.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryStep {
    /// The remaining memory in MiB.
    pub balloon: u64,
}

impl StepKind for MemoryStep {
    fn title(&self) -> String {
        format!("memory: {} MiB are left", self.balloon)
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(90)
    }

    fn needs_login(&self) -> bool {
        false
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        if self.balloon == 0 {
            let path = format!("{path}.balloon");
            lint.value(&path, "0 MiB of memory", "`balloon` is in MiB");
        }
    }

    fn effect(&self) -> Effect {
        Effect::Fault
    }

    fn follow(&self, state: &mut MachineState, _: &mut Lint<'_>, _: &str) {
        state.faults.push(Undone::Memory);
    }
}
