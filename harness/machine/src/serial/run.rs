//! A command in the shell at the other end of the line, between two markers that no echo has: they are
//! typed in two parts each, which the shell puts together.

use std::time::Duration;

use regex::Regex;

use super::Serial;
use crate::ssh::random_word;
use crate::{MachineError, Output};
use base::shell;

/// What stands around the output of a command.
struct Markers {
    head: &'static str,
    nonce: String,
}

impl Markers {
    fn new() -> Self {
        Self {
            head: "harness-",
            nonce: random_word(),
        }
    }

    /// What is typed. The command has a shell of its own, so that it can end that one.
    fn line(&self, command: &str) -> String {
        let Self { head, nonce } = self;
        let mark = |more: &str| format!("printf '\\n%s%s{more}\\n' {head} {nonce}");
        let command = shell::quote(command.trim());
        format!("{}; (eval {command}); {} $?", mark(""), mark(":%s"))
    }

    /// From the first marker to the end of the last one.
    fn pattern(&self) -> Result<Regex, MachineError> {
        let Self { head, nonce } = self;
        let text = format!(r"(?s)\n{head}{nonce}\r?\n(.*?)\r?\n{head}{nonce}:(\d+)\r?\n");
        Regex::new(&text).map_err(|error| MachineError::Other(error.to_string()))
    }
}

impl Serial {
    /// Runs a command in the shell that reads the line; what it prints to its terminal is its
    /// standard output.
    ///
    /// # Errors
    /// The deadline; QEMU is gone.
    pub async fn run(&self, command: &str, limit: Duration) -> Result<Output, MachineError> {
        let markers = Markers::new();
        let pattern = markers.pattern()?;
        self.send_line(&markers.line(command)).await?;
        let said = self.expect(&pattern, limit).await?;
        Ok(output(&pattern, &said))
    }
}

/// What stands between the markers. The line end before the last one belongs to it.
fn output(pattern: &Regex, said: &str) -> Output {
    let parts = pattern.captures(said);
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

    /// What a shell makes of a line, as a terminal shows it.
    fn shown(command: &str) -> String {
        let line = markers().line(command);
        let shell = std::process::Command::new("sh")
            .args(["-c", &line])
            .output();
        let printed = String::from_utf8(shell.unwrap().stdout).unwrap();
        format!("$ {line}\r\n{}$ ", printed.replace('\n', "\r\n"))
    }

    #[test]
    fn an_echo_has_no_marker_and_the_output_does() {
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
