//! Boot events.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::StepKind;

/// The expected boot events of the current boot.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsStep {
    /// Stages that must occur in this order; other stages can occur between them.
    #[serde(default)]
    pub order: Vec<String>,
    /// The exact set of failed stages; `[]` for none.
    pub failed: Option<Vec<String>>,
}

impl StepKind for EventsStep {
    fn title(&self) -> String {
        "boot events".into()
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(15)
    }

    fn needs_login(&self) -> bool {
        false
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        if self.order.is_empty() && self.failed.is_none() {
            lint.key(
                path,
                "this step checks nothing",
                "write `order: [...]` or `failed: []`",
            );
        }
    }

    fn needs_guest(&self) -> bool {
        false
    }

    fn checks_boot(&self) -> bool {
        true
    }
}
