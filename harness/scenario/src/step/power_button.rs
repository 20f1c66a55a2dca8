//! The power button.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::value::Pattern;
use super::{Effect, MachineState, StepKind};

/// Presses the power button. The machine must power off before the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PowerButtonStep {
    /// The expected console output before it ends.
    pub says: Option<Pattern>,
}

impl StepKind for PowerButtonStep {
    fn title(&self) -> String {
        "power button".into()
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(90)
    }

    fn needs_login(&self) -> bool {
        false
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
