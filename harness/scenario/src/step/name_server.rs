//! Name servers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::{Effect, StepKind};

/// Starts a name server (DNS). It runs until the trial ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameServerStep {
    /// The names that it resolves, and their addresses. Other names do not exist.
    pub names: BTreeMap<String, Ipv4Addr>,
    /// The file on the machine that gets its `ADDRESS:PORT`.
    pub tell: String,
}

impl StepKind for NameServerStep {
    fn title(&self) -> String {
        "a name server".into()
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
