//! Runs other programs without standard input. An error contains the command, its status and the end of
//! its output.

use std::process::{Command, Stdio};

use crate::{BuildError, Result};

/// The number of lines of a failed program's output in the error.
const TAIL_LINES: usize = 15;

/// Runs a command to completion and returns its standard output.
pub(crate) fn output(step: &str, command: &mut Command) -> Result<Vec<u8>> {
    let result = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| start_error(step, command, &error))?;
    if result.status.success() {
        return Ok(result.stdout);
    }
    Err(exit_error(step, command, result.status, &result.stderr))
}

/// The error of a program that cannot be started.
pub(crate) fn start_error(step: &str, command: &Command, error: &std::io::Error) -> BuildError {
    let name = command.get_program().to_string_lossy();
    BuildError {
        step: step.into(),
        cause: format!("cannot start `{name}`: {error}"),
        hint: (error.kind() == std::io::ErrorKind::NotFound)
            .then(|| format!("run `ci/setup`, which installs `{name}`")),
    }
}

/// The error of a program that exits with a failure.
pub(crate) fn exit_error(
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
