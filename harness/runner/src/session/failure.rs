//! Why a step failed.

use std::fmt::Write as _;

use crate::client::ClientError;
use crate::evidence::Evidence;
use base::text::{MOST, MOST_OF_SENTENCE, bounded, printable};
use machine::{GuestFailure, MachineError, Output, WaitError};

/// What a step failed at. The verdict, retries and the search for the cause depend on it.
#[derive(Debug, Clone)]
pub(crate) enum FailureKind {
    /// The machine answered, and not as expected.
    Expectation,
    /// A connection to the guest broke or was refused.
    Connection,
    /// A Docker engine answered with an error.
    Engine,
    /// A wait ended without its condition.
    Wait,
    /// The guest failed.
    Guest(GuestFailure),
    /// QEMU exited or did not start.
    Qemu,
    /// QEMU's control channel, a file or a program of this host failed.
    Host,
}

/// Why a step failed: the machine did something unexpected, or did not answer.
#[derive(Debug)]
pub(crate) struct StepFailure {
    /// The message: one sentence, optionally followed by details on further lines.
    pub(crate) what: String,
    /// Observations as blocks with a heading, such as stdout, stderr or a diff.
    pub(crate) seen: Vec<(String, String)>,
    /// What failed.
    pub(crate) kind: FailureKind,
    /// The name of the machine that it happened on, if there are several.
    pub(crate) machine: Option<String>,
}

impl StepFailure {
    /// An unexpected answer, with a message and no observations.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self::of(FailureKind::Expectation, what)
    }

    /// A failure of a kind, with a message and no observations.
    pub(crate) fn of(kind: FailureKind, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            seen: Vec::new(),
            kind,
            machine: None,
        }
    }

    /// Whether a failure of the guest may be the cause, and so explains more.
    pub(crate) fn may_have_guest_cause(&self) -> bool {
        match self.kind {
            FailureKind::Expectation | FailureKind::Guest(_) => false,
            FailureKind::Connection
            | FailureKind::Engine
            | FailureKind::Wait
            | FailureKind::Qemu
            | FailureKind::Host => true,
        }
    }

    /// Whether the machine may answer later, over a new connection.
    pub(crate) fn may_pass_later(&self) -> bool {
        match self.kind {
            FailureKind::Connection | FailureKind::Engine | FailureKind::Wait => true,
            FailureKind::Expectation
            | FailureKind::Guest(_)
            | FailureKind::Qemu
            | FailureKind::Host => false,
        }
    }

    /// Whether QEMU failed and not the guest, so that there is no verdict.
    pub(crate) fn is_qemu(&self) -> bool {
        matches!(self.kind, FailureKind::Qemu)
    }

    /// The console line that caused the failure, if one did.
    pub(crate) fn console_line(&self) -> Option<&str> {
        match &self.kind {
            FailureKind::Guest(failure) => failure.console_line(),
            _ => None,
        }
    }

    /// Adds an observation.
    #[must_use]
    pub(crate) fn with(mut self, head: &str, text: impl Into<String>) -> Self {
        self.seen.push((head.into(), text.into()));
        self
    }

    /// Adds a command, its exit status and its output.
    #[must_use]
    pub(crate) fn with_output(self, command: &str, output: &Output) -> Self {
        self.with("command", command)
            .with("ended with", ending(output))
            .with("stdout", String::from_utf8_lossy(&output.stdout))
            .with("stderr", String::from_utf8_lossy(&output.stderr))
    }

    /// Moves texts that are too long to be shown into files of the evidence.
    #[must_use]
    pub(crate) fn with_long_in(mut self, evidence: &Evidence) -> Self {
        if self.what.len() > MOST_OF_SENTENCE {
            self.what = in_file(&self.what, MOST_OF_SENTENCE, "fault", evidence);
        }
        for (head, body) in &mut self.seen {
            if body.len() > MOST {
                *body = in_file(body, MOST, head, evidence);
            }
        }
        self
    }

    /// Renders the failure for printing.
    pub(crate) fn render(&self) -> String {
        let what = bounded(&self.what, 2 * MOST_OF_SENTENCE, "");
        let mut text = indent(&printable(&what), "  ");
        for (head, body) in &self.seen {
            let body = printable(&bounded(body.trim_end(), 2 * MOST, ""));
            let head = printable(head);
            match body.lines().count() {
                0 => _ = write!(text, "\n  {head}: (nothing)"),
                1 => _ = write!(text, "\n  {head}: {body}"),
                _ => _ = write!(text, "\n  {head}:\n{}", indent(&body, "    | ")),
            }
        }
        text
    }
}

impl From<MachineError> for StepFailure {
    fn from(error: MachineError) -> Self {
        let what = error.to_string();
        let kind = match error {
            MachineError::Guest(GuestFailure::QemuEnded(_)) | MachineError::Start(_) => {
                FailureKind::Qemu
            }
            MachineError::Guest(failure) => FailureKind::Guest(failure),
            MachineError::Wait(_) => FailureKind::Wait,
            MachineError::Refused { .. }
            | MachineError::Ssh(_)
            | MachineError::Docker(_)
            | MachineError::TlsRefused(_) => FailureKind::Connection,
            MachineError::WrongMachine { .. }
            | MachineError::Qmp { .. }
            | MachineError::Other(_) => FailureKind::Host,
        };
        Self::of(kind, what)
    }
}

impl From<WaitError> for StepFailure {
    fn from(error: WaitError) -> Self {
        MachineError::from(error).into()
    }
}

impl From<ClientError> for StepFailure {
    fn from(error: ClientError) -> Self {
        Self::of(FailureKind::Host, error.to_string())
    }
}

impl From<bollard::errors::Error> for StepFailure {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error::{DockerContainerWaitError, DockerResponseServerError};
        let kind = match &error {
            DockerResponseServerError { .. } | DockerContainerWaitError { .. } => {
                FailureKind::Engine
            }
            _ => FailureKind::Connection,
        };
        Self::of(kind, format!("docker: {error}"))
    }
}

/// Describes how a command ended.
pub(crate) fn ending(output: &Output) -> String {
    match (&output.signal, output.exit) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(status)) => format!("exit status {status}"),
        (None, None) => "no exit status".into(),
    }
}

/// Writes a text to a file of the evidence, and returns a shortened text.
fn in_file(text: &str, most: usize, name: &str, evidence: &Evidence) -> String {
    let name = format!("{}.txt", name.split(' ').next().unwrap_or_default());
    let rest = match evidence.add(&name, text.as_bytes()) {
        Ok(name) => format!("; the full text is in `{name}` of the evidence"),
        Err(error) => format!("; the full text cannot be saved: {error}"),
    };
    bounded(text, most, &rest)
}

/// Prefixes each line with `margin`.
pub(crate) fn indent(text: &str, margin: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("{margin}{line}").trim_end().to_owned())
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_shortened_and_the_evidence_has_the_full_text_when_output_is_long() {
        let parent = tempfile::tempdir().unwrap();
        let evidence = Evidence::begin(parent.path(), "q35::tea").unwrap();
        let stdout = format!("first\n{}last\n", "a line of many\n".repeat(700_000));
        let output = Output {
            stdout: stdout.clone().into_bytes(),
            ..Output::default()
        };
        let failure = StepFailure::new("stdout is not equal")
            .with("difference (- expected, + got)", stdout.clone())
            .with_output("print", &output)
            .with_long_in(&evidence);
        let text = failure.render();
        assert!(text.len() < 200_000, "{} bytes", text.len());
        for part in [
            "| first",
            "| last",
            "; the full text is in `stdout.txt` of the evidence]",
        ] {
            assert!(text.contains(part), "{part}");
        }
        for name in ["stdout.txt", "difference.txt"] {
            assert_eq!(
                std::fs::read_to_string(evidence.file(name)).unwrap(),
                stdout
            );
        }
    }

    #[test]
    fn render_escapes_control_characters() {
        let failure = StepFailure::new("said \x1b[2J\u{202e}").with("got \0", "\x1b]52;c;x\x07");
        assert_eq!(
            failure.render(),
            "  said \\u{202e}\n  got \\x00: \\x1b]52;c;x\\x07"
        );
    }

    #[test]
    fn kind_of_a_failure_follows_the_machine_error() {
        let why = || "why".to_owned();
        let panic = GuestFailure::Panic {
            kind: "kernel panic",
            line: why(),
        };
        let qmp = MachineError::Qmp {
            command: why(),
            why: why(),
        };
        let late = WaitError::deadline("tea", std::time::Duration::ZERO, why());
        for (error, may_pass_later, is_qemu) in [
            (MachineError::Ssh(why()), true, false),
            (MachineError::Docker(why()), true, false),
            (late.into(), true, false),
            (qmp, false, false),
            (MachineError::Other(why()), false, false),
            (MachineError::Start(why()), false, true),
            (GuestFailure::QemuEnded(why()).into(), false, true),
            (GuestFailure::PoweredOff.into(), false, false),
            (panic.into(), false, false),
        ] {
            let is_guest = matches!(error, MachineError::Guest(_)) && !is_qemu;
            let failure = StepFailure::from(error);
            assert_eq!(failure.may_pass_later(), may_pass_later, "{failure:?}");
            assert_eq!(failure.is_qemu(), is_qemu, "{failure:?}");
            assert_eq!(failure.may_have_guest_cause(), !is_guest, "{failure:?}");
        }
        let failure = StepFailure::new("stdout is not equal");
        assert!(!failure.may_pass_later() && !failure.may_have_guest_cause());
    }
}
