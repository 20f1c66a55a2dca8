//! Pauses of the machine.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::value::Span;
use super::text::lasting;
use super::{Effect, MachineState, StepKind};

/// Pauses the machine: processors, clocks and devices. Afterwards its clock is late by the length of
/// the pause, as after any pause of a virtual machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PauseStep {
    /// Resumes after this time. Without it, the machine is paused until `resume`.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
}

impl StepKind for PauseStep {
    fn title(&self) -> String {
        format!("pause{}", lasting(self.lasting))
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60) + self.lasting.map_or(Duration::ZERO, |span| span.0)
    }

    fn needs_login(&self) -> bool {
        false
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

    fn follow(&self, state: &mut MachineState, _: &mut Lint<'_>, _: &str) {
        state.paused = self.lasting.is_none();
    }
}
