//! Kernel panics.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Effect, StepKind};

/// Makes the kernel panic. The machine must reboot by itself; it is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CrashStep {
    /// The cause of the panic; the default is `sysrq`.
    pub by: CrashCause,
    /// Resets the machine, whose kernel stops after a panic (`kernel.panic` is 0).
    pub reset: bool,
}

/// The cause of a kernel panic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CrashCause {
    /// SysRq key `c`, as root.
    #[default]
    Sysrq,
    /// A non-maskable interrupt, as a watchdog or failing hardware sends it.
    Nmi,
}

impl StepKind for CrashStep {
    fn title(&self) -> String {
        match self.by {
            CrashCause::Nmi => "crash: a panic by NMI".into(),
            CrashCause::Sysrq => "crash: a panic by sysrq".into(),
        }
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(240)
    }

    fn needs_login(&self) -> bool {
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
    use crate::testing::read;

    #[test]
    fn crash_allows_later_steps_about_the_boot() {
        let text = "name: tea\nabout: tea\nsteps:\n  - crash: {}\n  - events: { failed: [] }\n";
        assert!(read(text).is_ok());
    }
}
