//! Input and output of the serial console.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::expectation::{self, TextExpectation};
use super::super::value::Pattern;
use super::StepKind;
use super::text::short;

/// Input and output of the serial console: `send` and `expect`, a `login`, or a command that its shell
/// `run`s.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SerialStep {
    /// A line to type.
    pub send: Option<String>,
    /// The expected output, after that of earlier steps and without the echo of `send`.
    pub expect: Option<Pattern>,
    /// A login dialogue.
    pub login: Option<SerialLogin>,
    /// A command line for the shell of an earlier `login`.
    pub run: Option<String>,
    /// The expected exit status of `run`; the default is 0.
    pub exit: Option<i32>,
    /// The expected output of `run`, including standard error.
    pub stdout: Option<TextExpectation>,
}

/// A login on the serial console.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SerialLogin {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The login must be refused.
    #[serde(default)]
    pub refused: bool,
}

impl StepKind for SerialStep {
    fn title(&self) -> String {
        let typed = self.run.as_ref().or(self.send.as_ref());
        match (&self.login, typed, &self.expect) {
            (Some(login), ..) => format!("serial: log in as {}", login.user),
            (None, Some(typed), _) => format!("serial: {}", short(typed)),
            (None, None, Some(pattern)) => format!("serial: expect /{}/", pattern.0),
            (None, None, None) => "serial".into(),
        }
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn needs_login(&self) -> bool {
        false
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        let dialogue = self.send.is_some() || self.expect.is_some();
        if !dialogue && self.login.is_none() && self.run.is_none() {
            lint.key(
                path,
                "this step does nothing",
                "write `run`, `send`, `expect` or `login`",
            );
        }
        let both = (dialogue || self.run.is_some()) && self.login.is_some();
        let hint = "split it into two steps";
        lint.refuse(
            both,
            &format!("{path}.login"),
            "`login` cannot be combined with `run`, `send` or `expect`",
            hint,
        );
        let both = dialogue && self.run.is_some();
        let message = "`run` cannot be combined with `send` or `expect`";
        lint.refuse(both, &format!("{path}.run"), message, hint);
        let empty = self.run.as_ref().is_some_and(|run| run.trim().is_empty());
        let message = "the command is empty";
        lint.refuse(
            empty,
            &format!("{path}.run"),
            message,
            "write a command line",
        );
        for (key, given) in [
            ("exit", self.exit.is_some()),
            ("stdout", self.stdout.is_some()),
        ] {
            let message = format!("`{key}` has no effect without `run`");
            let hint = "write `run` instead of `send`";
            lint.refuse(
                given && self.run.is_none(),
                &format!("{path}.{key}"),
                &message,
                hint,
            );
        }
        expectation::text(lint, self.stdout.as_ref(), &format!("{path}.stdout"));
    }

    fn can_fail(&self) -> bool {
        self.expect.is_some() || self.login.is_some() || self.run.is_some()
    }
}
