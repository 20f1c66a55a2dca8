//! The end of a pause.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::{Effect, MachineState, StepKind};

/// Resumes a paused machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResumeStep {}

impl StepKind for ResumeStep {
    fn title(&self) -> String {
        "resume".into()
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn needs_login(&self) -> bool {
        false
    }

    fn needs_guest(&self) -> bool {
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

    fn follow(&self, state: &mut MachineState, lint: &mut Lint<'_>, path: &str) {
        let hint = "add `pause: {}` before this step";
        lint.refuse(!state.paused, path, "the machine is not paused", hint);
        state.paused = false;
    }
}
