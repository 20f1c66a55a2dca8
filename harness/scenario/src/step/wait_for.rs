//! Waits for a condition.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::collector::Lint;
use super::super::expectation::{self, TextExpectation};
use super::super::value::{Account, EngineName, Pattern, Span};
use super::StepKind;
use super::text::{short, time};

/// Waits until one condition holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitForStep {
    /// A command over SSH has the expected exit status and output.
    pub ssh: Option<WaitSsh>,
    /// The serial console prints this.
    pub serial: Option<Pattern>,
    /// The boot event of this stage arrived.
    pub event: Option<String>,
    /// A container runs.
    pub container: Option<WaitContainer>,
    /// New connections to the SSH port get no answer for this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<Span>,
    /// Runs as root after each failed poll; exit status 0 ends the wait: `systemctl is-failed NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_failed: Option<String>,
}

/// The condition of a `wait_for` step, after the lint found exactly one.
#[derive(Debug, Clone, Copy)]
pub enum WaitAction<'a> {
    /// See [`WaitSsh`].
    Ssh(&'a WaitSsh),
    /// The serial console prints this.
    Serial(&'a Pattern),
    /// The boot event of this stage arrived.
    Event(&'a str),
    /// See [`WaitContainer`].
    Container(&'a WaitContainer),
    /// New connections to the SSH port get no answer for this long.
    Silence(Span),
}

/// A command over SSH that is repeated until it has the expected exit status and output.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitSsh {
    /// The command line, run by a shell.
    pub run: String,
    /// Whose rights the command has.
    #[serde(rename = "as", default)]
    pub account: Account,
    /// The expected exit status; the default is 0.
    pub exit: Option<i32>,
    /// The expected standard output.
    pub stdout: Option<TextExpectation>,
}

/// A container that must run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitContainer {
    /// The engine.
    pub engine: EngineName,
    /// The name.
    pub name: String,
}

impl WaitForStep {
    fn kinds(&self) -> [(&'static str, Option<WaitAction<'_>>); 5] {
        [
            ("ssh", self.ssh.as_ref().map(WaitAction::Ssh)),
            ("serial", self.serial.as_ref().map(WaitAction::Serial)),
            ("event", self.event.as_deref().map(WaitAction::Event)),
            (
                "container",
                self.container.as_ref().map(WaitAction::Container),
            ),
            ("silence", self.silence.map(WaitAction::Silence)),
        ]
    }

    /// What the step waits for; `None` only for a step that the lint refused.
    pub fn action(&self) -> Option<WaitAction<'_>> {
        self.kinds().into_iter().find_map(|(_, kind)| kind)
    }

    /// Checks a step, or the `ready` condition of a scenario; errors name it `what`.
    pub(crate) fn check(&self, lint: &mut Lint<'_>, path: &str, what: &str) {
        let action = lint.one(self.kinds(), path, what);
        if let Some(command) = &self.until_failed {
            let path = format!("{path}.until_failed");
            let polls = matches!(action, Some(WaitAction::Ssh(_) | WaitAction::Container(_)));
            let message = "`until_failed` needs `ssh` or `container`; the other kinds do not poll the machine";
            lint.refuse(!polls, &path, message, "remove it");
            let empty = command.trim().is_empty();
            let hint = "write a command line, e.g. `systemctl is-failed NAME`";
            lint.refuse(empty, &path, "the command is empty", hint);
        }
        let Some(WaitAction::Ssh(wait)) = action else {
            return;
        };
        expectation::exit(lint, wait.exit.map(i64::from), &format!("{path}.ssh.exit"));
        let stdout = format!("{path}.ssh.stdout");
        expectation::text(lint, wait.stdout.as_ref(), &stdout);
        let snapshot = wait
            .stdout
            .as_ref()
            .is_some_and(|expected| expected.snapshot.is_some());
        let message = "`wait_for` cannot compare a snapshot";
        let hint = "wait for a part of the text, then compare the snapshot in another step";
        lint.refuse(snapshot, &format!("{stdout}.snapshot"), message, hint);
    }
}

impl StepKind for WaitForStep {
    fn title(&self) -> String {
        match self.action() {
            Some(WaitAction::Ssh(wait)) => format!("wait for: {}", short(&wait.run)),
            Some(WaitAction::Serial(pattern)) => format!("wait for /{}/ on serial", pattern.0),
            Some(WaitAction::Event(stage)) => format!("wait for the boot event {stage}"),
            Some(WaitAction::Container(wait)) => format!("wait for the container {}", wait.name),
            Some(WaitAction::Silence(span)) => format!("no answer for {}", time(span.0)),
            None => "wait for".into(),
        }
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(90 + self.silence.map_or(0, |span| span.0.as_secs()))
    }

    fn needs_login(&self) -> bool {
        self.ssh.is_some() || self.container.is_some()
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        self.check(lint, path, "a wait_for step");
    }

    fn needs_guest(&self) -> bool {
        self.silence.is_none()
    }

    fn checks_boot(&self) -> bool {
        self.event.is_some() || self.serial.is_some()
    }

    fn instead_of_boot_check(&self) -> Option<&'static str> {
        let expect = "write `serial: { expect: ... }` for console output from here on";
        self.serial.as_ref().map(|_| expect)
    }
}
