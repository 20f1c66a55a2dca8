//! Runs other programs. Errors contain the command, its status and its output.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Folders to search in addition to `PATH`: an unprivileged user's `PATH` lacks the folder in which
/// Debian installs `mke2fs`.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Finds a program like a shell does.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Runs a command without input; returns its standard output.
///
/// # Errors
/// The command did not start or failed; the text has the command, its status and its output.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    result(command, output)
}

/// Runs a command with this input; returns its standard output. The whole input is written before output
/// is read.
///
/// # Errors
/// The command did not start or failed; the text has the command, its status and its output.
pub fn feed(command: &mut Command, input: &str) -> Result<String, String> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let output = pipes.stderr(Stdio::piped()).spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read all of its input reports the reason itself.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    });
    result(command, output)
}

fn result(command: &Command, output: io::Result<Output>) -> Result<String, String> {
    let output = output.map_err(|e| format!("`{}` did not start: {e}", display(command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let text = format!("{}\n{}", stdout.trim(), stderr.trim());
    Err(format!(
        "`{}` failed ({}): {}",
        display(command),
        output.status,
        text.trim()
    ))
}

fn display(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_contains_command_status_and_output() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo bad >&2; exit 3"]));
        insta::assert_snapshot!(error.unwrap_err(), @r"
        `sh -c echo out; echo bad >&2; exit 3` failed (exit status: 3): out
        bad
        ");
    }

    #[test]
    fn find_returns_none_when_the_program_does_not_exist() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
