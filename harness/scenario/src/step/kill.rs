//! Signals to processes and containers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::value::{EngineName, Pattern};
use super::{Effect, StepKind};

/// The bytes that the kernel keeps of a process name (TASK_COMM_LEN without its NUL).
const LONGEST_NAME: usize = 15;

/// Sends a signal to processes, or to a container. At least one process must match. After `KILL` the
/// processes must be gone when the step ends; a supervisor may have started new ones.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillStep {
    /// All processes with this name (`/proc/PID/comm`, at most 15 bytes).
    pub process: Option<String>,
    /// All processes whose command line matches.
    pub command: Option<Pattern>,
    /// A running container.
    pub container: Option<String>,
    /// The engine of the container; the default is `user`.
    pub engine: Option<EngineName>,
    /// The signal; the default is `KILL`.
    #[serde(default)]
    pub signal: SignalName,
}

/// A signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "signal(7) documents them")]
pub enum SignalName {
    Abrt,
    Cont,
    Hup,
    Int,
    #[default]
    Kill,
    Quit,
    Segv,
    Stop,
    Term,
    Usr1,
    Usr2,
}

impl SignalName {
    /// The name as `kill` accepts it.
    pub fn name(self) -> String {
        format!("{self:?}").to_uppercase()
    }
}

impl StepKind for KillStep {
    fn title(&self) -> String {
        let signal = self.signal.name();
        match (&self.process, &self.command, &self.container) {
            (Some(name), ..) => format!("kill -{signal}: {name}"),
            (None, Some(pattern), _) => format!("kill -{signal}: /{}/", pattern.0),
            (None, None, Some(name)) => {
                let engine = match self.engine {
                    Some(EngineName::System) => "system-docker",
                    _ => "docker",
                };
                format!("kill -{signal}: the container {name} of {engine}")
            }
            (None, None, None) => "kill".into(),
        }
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn needs_login(&self) -> bool {
        true
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        let targets = [
            ("process", self.process.as_ref().map(drop)),
            ("command", self.command.as_ref().map(drop)),
            ("container", self.container.as_ref().map(drop)),
        ];
        lint.one(targets, path, "a kill step");
        let engine = self.engine.is_some() && self.container.is_none();
        let hint = "remove it, or name a `container`";
        let message = "`engine` has no effect without `container`";
        lint.refuse(engine, &format!("{path}.engine"), message, hint);
        if let Some(name) = &self.process
            && (name.is_empty() || name.len() > LONGEST_NAME || name.contains('/'))
        {
            let message = "not a process name: it has 1 to 15 bytes and no `/`";
            let hint = "use `command` to match the whole command line";
            lint.value(&format!("{path}.process"), message, hint);
        }
    }

    fn interrupts_guest(&self) -> bool {
        true
    }

    fn effect(&self) -> Effect {
        Effect::Fault
    }
}
