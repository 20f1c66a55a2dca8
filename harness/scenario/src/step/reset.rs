//! The reset button.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Effect, StepKind};

/// Presses the reset button. The machine restarts at once, and the guest is not notified. Unlike after a power cut, the
/// disks keep every write that reached them. The machine is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResetStep {}

impl StepKind for ResetStep {
    fn title(&self) -> String {
        "reset".into()
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

#[cfg(test)]
mod tests {
    use crate::testing::{errors, read};

    const HEAD: &str = "name: tea\nabout: tea\nsteps:\n";

    #[test]
    fn reset_allows_later_steps_about_the_boot() {
        let text = format!("{HEAD}  - reset: {{}}\n  - events: {{ failed: [] }}\n");
        assert!(read(&text).is_ok());
    }

    #[test]
    fn reset_is_refused_when_the_machine_is_paused() {
        let text = errors(&format!("{HEAD}  - pause: {{}}\n  - reset: {{}}\n"));
        assert!(text.contains("the machine is paused"), "{text}");
    }
}
