//! Reboots.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::StepKind;

/// A reboot, verified by a changed boot ID. The machine is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RebootStep {
    /// The command; the default is `sudo reboot`.
    pub command: Option<String>,
}

impl StepKind for RebootStep {
    fn title(&self) -> String {
        "reboot".into()
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(240)
    }

    fn needs_login(&self) -> bool {
        true
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        if self
            .command
            .as_ref()
            .is_some_and(|command| command.trim().is_empty())
        {
            lint.value(
                &format!("{path}.command"),
                "the command is empty",
                "write a command line, or `reboot: {}` for the default",
            );
        }
    }

    fn interrupts_guest(&self) -> bool {
        true
    }

    fn boots(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::errors_of;

    #[test]
    fn reboot_is_refused_when_its_command_is_empty() {
        let text = errors_of("{}", "reboot: { command: ' ' }");
        assert!(text.contains("the command is empty"), "{text}");
    }
}
