//! Power cuts.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Effect, StepKind};

/// Cuts the power and restores it. The machine stops at once, and the disks lose some of the writes
/// after the last flush. The machine is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PowerCutStep {
    /// The seed that selects which writes persist, are lost or are torn; the default is random.
    pub seed: Option<u64>,
}

impl StepKind for PowerCutStep {
    fn title(&self) -> String {
        "power cut".into()
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(240)
    }

    fn needs_login(&self) -> bool {
        false
    }

    fn needs_network(&self) -> bool {
        true
    }

    fn interrupts_guest(&self) -> bool {
        true
    }

    fn boots(&self) -> bool {
        true
    }

    fn effect(&self) -> Effect {
        Effect::Fault
    }
}
