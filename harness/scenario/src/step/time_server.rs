//! Time servers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::{Effect, StepKind};

/// Starts a time server (NTP) with the time of this host. It runs until the trial ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeServerStep {
    /// The file on the machine that gets its `ADDRESS:PORT`.
    pub tell: String,
}

impl StepKind for TimeServerStep {
    fn title(&self) -> String {
        "a time server".into()
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(15)
    }

    fn needs_login(&self) -> bool {
        true
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        lint.absolute(&self.tell, &format!("{path}.tell"));
    }

    fn can_fail(&self) -> bool {
        false
    }

    fn effect(&self) -> Effect {
        Effect::Host
    }
}
