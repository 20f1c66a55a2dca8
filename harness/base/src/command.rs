//! Other programs: found, run with no input, and their failure told with all they said.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where to look beside `PATH`: a plain user's `PATH` lacks where Debian puts `mke2fs`.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The program's file, as a shell would find it.
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

/// Runs to the end; standard output when it succeeded.
///
/// # Errors
/// The command, its status and all it said.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    said(command, output)
}

/// Runs to the end on this input, which it must have read until then; standard output when it
/// succeeded.
///
/// # Errors
/// The command, its status and all it said.
pub fn feed(command: &mut Command, input: &str) -> Result<String, String> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let output = pipes.stderr(Stdio::piped()).spawn().and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not want it all says why itself.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    });
    said(command, output)
}

fn said(command: &Command, output: io::Result<Output>) -> Result<String, String> {
    let output = output.map_err(|e| format!("`{}` did not start: {e}", shown(command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = format!("{}\n{}", stdout.trim(), stderr.trim());
    Err(format!(
        "`{}` failed ({}): {}",
        shown(command),
        output.status,
        said.trim()
    ))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_command_status_and_words() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo bad >&2; exit 3"]));
        insta::assert_snapshot!(error.unwrap_err(), @r"
        `sh -c echo out; echo bad >&2; exit 3` failed (exit status: 3): out
        bad
        ");
    }

    #[test]
    fn programs_are_found_or_not() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
