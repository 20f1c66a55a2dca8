//! Runs a command in the shell on the serial line. Two markers delimit the output. No echo contains a
//! marker: each is typed in two parts, which the shell joins.

use std::time::Duration;

use regex::Regex;

use super::Serial;
use crate::error::MachineError;
use crate::output::Output;
use crate::qemu::nonce::random_nonce;
use base::shell;

/// The markers around the output of a command.
struct Markers {
    head: &'static str,
    nonce: String,
}

impl Markers {
    fn new() -> Self {
        Self {
            head: "harness-",
            nonce: random_nonce(),
        }
    }

    /// The line to type. The command gets a shell of its own, so that it may call `exit`.
    fn line(&self, command: &str) -> String {
        let Self { head, nonce } = self;
        let mark = |more: &str| format!("printf '\\n%s%s{more}\\n' {head} {nonce}");
        let command = shell::quote(command.trim());
        format!("{}; (eval {command}); {} $?", mark(""), mark(":%s"))
    }

    /// Matches from the first marker to the end of the last one.
    fn pattern(&self) -> Result<Regex, MachineError> {
        let Self { head, nonce } = self;
        let text = format!(r"(?s)\n{head}{nonce}\r?\n(.*?)\r?\n{head}{nonce}:(\d+)\r?\n");
        Regex::new(&text).map_err(|error| MachineError::Other(error.to_string()))
    }
}

impl Serial {
    /// Runs a command in the shell on the serial line. What the command prints to its terminal is
    /// returned as standard output.
    ///
    /// # Errors
    /// The deadline; QEMU has exited.
    pub async fn run(&self, command: &str, limit: Duration) -> Result<Output, MachineError> {
        let markers = Markers::new();
        let pattern = markers.pattern()?;
        self.send_line(&markers.line(command)).await?;
        let text = self.expect(&pattern, limit).await?;
        Ok(output(&pattern, &text))
    }
}

/// The text between the markers. The line end before the last marker belongs to the marker.
fn output(pattern: &Regex, text: &str) -> Output {
    let parts = pattern.captures(text);
    let part = |number| {
        let found = parts.as_ref().and_then(|parts| parts.get(number));
        found.map_or("", |found| found.as_str())
    };
    Output {
        exit: part(2).parse().ok(),
        stdout: part(1).replace("\r\n", "\n").into_bytes(),
        ..Output::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markers() -> Markers {
        Markers {
            head: "harness-",
            nonce: "4711".into(),
        }
    }

    /// What a terminal shows when a shell runs a line.
    fn shown(command: &str) -> String {
        let line = markers().line(command);
        let shell = std::process::Command::new("sh")
            .args(["-c", &line])
            .output();
        let printed = String::from_utf8(shell.unwrap().stdout).unwrap();
        format!("$ {line}\r\n{}$ ", printed.replace('\n', "\r\n"))
    }

    #[test]
    fn echo_has_no_marker_and_output_does() {
        let pattern = markers().pattern().unwrap();
        for (command, exit, stdout) in [
            ("false && echo DONE", 1, ""),
            ("echo it\\'s; echo two; exit 7", 7, "it's\ntwo\n"),
            ("printf half", 0, "half"),
            ("true", 0, ""),
        ] {
            assert!(!pattern.is_match(&format!("{}\r\n", markers().line(command))));
            let output = output(&pattern, &shown(command));
            assert_eq!(output.exit, Some(exit), "{command}");
            assert_eq!(
                String::from_utf8(output.stdout).unwrap(),
                stdout,
                "{command}"
            );
        }
    }
}
