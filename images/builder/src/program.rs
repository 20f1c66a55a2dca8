//! The one way other programs are run: no standard input, and an error that carries the command,
//! its status and the end of what it printed.

use std::process::{Command, Stdio};

use crate::{BuildError, Result};

/// How much of a failed program's output goes into the error.
const TAIL_LINES: usize = 15;

/// Runs `command` to its end and returns its standard output.
pub fn output(step: &str, command: &mut Command) -> Result<Vec<u8>> {
    let result = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(step, command, &error))?;
    if result.status.success() {
        return Ok(result.stdout);
    }
    Err(ended(step, command, result.status, &result.stderr))
}

/// The error of a program that could not be started.
pub fn not_started(step: &str, command: &Command, error: &std::io::Error) -> BuildError {
    let name = command.get_program().to_string_lossy();
    BuildError {
        step: step.into(),
        why: format!("`{name}` could not be started: {error}"),
        hint: (error.kind() == std::io::ErrorKind::NotFound)
            .then(|| format!("`ci/setup` installs `{name}`")),
    }
}

/// The error of a program that ended badly.
pub fn ended(
    step: &str,
    command: &Command,
    status: std::process::ExitStatus,
    stderr: &[u8],
) -> BuildError {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n  ");
    BuildError::new(step, format!("{command:?}: {status}\n  {tail}"))
}
