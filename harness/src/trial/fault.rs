//! Why a step is red.

use std::fmt::Write as _;

use crate::machine::{Badness, MachineError, Output};

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

    /// The fault as it is printed.
    pub fn render(&self) -> String {
        let mut text = indent(&self.what, "  ");
        for (head, body) in &self.seen {
            let body = printable(body.trim_end());
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

/// Text of a machine without what would move the cursor or change colours.
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' if letters.next_if_eq(&'[').is_some() => {
                // A control sequence ends with its first letter.
                while letters.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            }
            '\n' | '\t' => clean.push(letter),
            letter if letter.is_control() => {}
            letter => clean.push(letter),
        }
    }
    clean
}

/// Puts `margin` before each line.
pub fn indent(text: &str, margin: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("{margin}{line}").trim_end().to_owned())
        .collect();
    lines.join("\n")
}
