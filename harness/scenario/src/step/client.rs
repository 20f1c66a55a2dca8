//! Commands on a computer beside the machine.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::expectation::{self, TextExpectation};
use super::text::short;
use super::{Effect, StepKind};

/// The first port that a process without privileges can bind.
const FIRST_PORT: u16 = 1024;

/// A command on a client computer. It reaches only the machine: as `machine` over SSH, which
/// `DOCKER_HOST` uses as well, and through `ports`. Its home directory persists during the trial.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientStep {
    /// The command line, run by bash.
    pub run: String,
    /// Files to write before, by their paths in the home directory.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Ports of the machine, 1024 or above, that are forwarded as `machine:PORT` during the command.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// The expected exit status; the default is 0.
    pub exit: Option<i32>,
    /// The expected standard output.
    pub stdout: Option<TextExpectation>,
    /// The expected standard error.
    pub stderr: Option<TextExpectation>,
}

impl StepKind for ClientStep {
    fn title(&self) -> String {
        format!("client: {}", short(&self.run))
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(90)
    }

    fn needs_login(&self) -> bool {
        true
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        if self.run.trim().is_empty() {
            let path = format!("{path}.run");
            lint.value(&path, "the command is empty", "write a command line");
        }
        for file in self.files.keys() {
            let is_name = |part| matches!(part, Component::Normal(_));
            let file_path = Path::new(file);
            if file.is_empty() || file.ends_with('/') || !file_path.components().all(is_name) {
                let message = format!("`{file}` is not a file path below the home directory");
                let hint = "write a relative path without `..`, e.g. `shop/compose.yaml`";
                lint.key(&format!("{path}.files"), message, hint);
            }
        }
        for (number, port) in self.ports.iter().enumerate() {
            let path = format!("{path}.ports[{number}]");
            if *port < FIRST_PORT {
                let hint = "publish it at port 1024 or above; SSH needs no entry here";
                lint.value(&path, "an unprivileged user cannot bind this port", hint);
            }
            if self.ports[..number].contains(port) {
                let message = format!("duplicate port {port}");
                lint.value(&path, message, "remove one of them");
            }
        }
        expectation::exit(lint, self.exit.map(i64::from), &format!("{path}.exit"));
        expectation::text(lint, self.stdout.as_ref(), &format!("{path}.stdout"));
        expectation::text(lint, self.stderr.as_ref(), &format!("{path}.stderr"));
    }

    fn effect(&self) -> Effect {
        Effect::Host
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::read;

    /// The lint messages of a scenario with this step; empty if there are none.
    fn lint(step: &str) -> String {
        let text = format!("name: tea\nabout: x\nsteps:\n  - client: {step}\n");
        read(&text).map_or_else(|errors| errors, |_| String::new())
    }

    #[test]
    fn client_step_is_accepted_when_its_paths_and_ports_are_valid() {
        let step = "{ run: make tea, files: { 'a/b..c': x, .tea: y }, ports: [8080, 1024] }";
        assert_eq!(lint(step), "");
    }

    #[test]
    fn client_step_is_refused_when_a_path_a_port_or_the_command_is_invalid() {
        for (step, expected) in [
            ("{ run: ' ' }", "command is empty"),
            ("{ files: { a: x } }", "missing key `run`"),
            (
                "{ run: tea, files: { /etc/x: y } }",
                "`/etc/x` is not a file path",
            ),
            ("{ run: tea, files: { a/../../x: y } }", "not a file path"),
            ("{ run: tea, files: { a/: y } }", "not a file path"),
            ("{ run: tea, files: { '': y } }", "not a file path"),
            ("{ run: tea, ports: [80] }", "cannot bind this port"),
            ("{ run: tea, ports: [8080, 8080] }", "duplicate port 8080"),
            ("{ run: tea, ports: [70000] }", "invalid value"),
            ("{ run: tea, stdout: {} }", "no expectation"),
            ("{ run: tea, exit: 300 }", "from 0 to 255"),
        ] {
            let messages = lint(step);
            assert!(messages.contains(expected), "{step}: {messages}");
        }
    }
}
