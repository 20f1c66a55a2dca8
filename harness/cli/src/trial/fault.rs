//! Why a step is red.

use std::fmt::Write as _;

use crate::evidence::Evidence;
use base::text::{MOST, MOST_OF_SENTENCE, bounded};
use machine::{Badness, MachineError, Output};

pub use base::text::printable;

/// Why a step is red: the machine did something else than was expected, or nothing at all.
#[derive(Debug)]
pub struct Fault {
    /// What is wrong, one sentence and perhaps more below it.
    pub what: String,
    /// What was seen, as headed blocks: stdout, stderr, a diff.
    pub seen: Vec<(String, String)>,
    /// Whether a line to the machine broke, or it did not answer: there may be a reason to that.
    pub is_line: bool,
    /// Whether QEMU failed and not the machine in it, so that there is nothing to judge.
    pub is_qemu: bool,
}

impl Fault {
    /// A fault that says all in a sentence.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            seen: Vec::new(),
            is_line: false,
            is_qemu: false,
        }
    }

    /// The same with something that was seen.
    #[must_use]
    pub fn with(mut self, head: &str, text: impl Into<String>) -> Self {
        self.seen.push((head.into(), text.into()));
        self
    }

    /// The same with what a command printed.
    #[must_use]
    pub fn with_output(self, command: &str, output: &Output) -> Self {
        self.with("command", command)
            .with("ended with", ending(output))
            .with("stdout", String::from_utf8_lossy(&output.stdout))
            .with("stderr", String::from_utf8_lossy(&output.stderr))
    }

    /// The same with what is too long to be shown in files of the evidence.
    #[must_use]
    pub fn with_long_in(mut self, evidence: &Evidence) -> Self {
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

    /// The fault as it is printed.
    pub fn render(&self) -> String {
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

impl From<MachineError> for Fault {
    fn from(error: MachineError) -> Self {
        let is_qemu = matches!(
            error,
            MachineError::Bad(Badness::QemuEnded(_)) | MachineError::Start(_)
        );
        Self {
            is_line: true,
            is_qemu,
            ..Self::new(error.to_string())
        }
    }
}

impl From<bollard::errors::Error> for Fault {
    fn from(error: bollard::errors::Error) -> Self {
        Self {
            is_line: true,
            ..Self::new(format!("docker: {error}"))
        }
    }
}

/// How a command ended, in words.
pub fn ending(output: &Output) -> String {
    match (&output.signal, output.exit) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(status)) => format!("exit status {status}"),
        (None, None) => "no exit status".into(),
    }
}

/// Writes a text into a file of the evidence, and gives as much of it as is shown.
fn in_file(text: &str, most: usize, name: &str, evidence: &Evidence) -> String {
    let name = format!("{}.txt", name.split(' ').next().unwrap_or_default());
    let rest = match evidence.add(&name, text.as_bytes()) {
        Ok(name) => format!("; all of it is in `{name}` of the evidence"),
        Err(error) => format!("; they cannot be kept: {error}"),
    };
    bounded(text, most, &rest)
}

/// Puts `margin` before each line.
pub fn indent(text: &str, margin: &str) -> String {
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
    fn verdict_is_bounded_and_evidence_has_the_rest_when_a_command_prints_a_lot() {
        let parent = tempfile::tempdir().unwrap();
        let evidence = Evidence::begin(parent.path(), "q35::tea").unwrap();
        let stdout = format!("first\n{}last\n", "a line of many\n".repeat(700_000));
        let output = Output {
            stdout: stdout.clone().into_bytes(),
            ..Output::default()
        };
        let fault = Fault::new("stdout is not equal")
            .with("difference (- expected, + got)", stdout.clone())
            .with_output("print", &output)
            .with_long_in(&evidence);
        let text = fault.render();
        assert!(text.len() < 200_000, "{} bytes", text.len());
        for part in [
            "| first",
            "| last",
            "; all of it is in `stdout.txt` of the evidence]",
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
    fn fault_is_rendered_in_plain_letters() {
        let fault = Fault::new("said \x1b[2J\u{202e}").with("got \0", "\x1b]52;c;x\x07");
        assert_eq!(
            fault.render(),
            "  said \\u{202e}\n  got \\x00: \\x1b]52;c;x\\x07"
        );
    }
}
