//! `/opt/rancher/bin/start.sh`: a script of the user that runs whenever a console starts. It runs in the
//! background, so that a script that fails or never ends locks nobody out.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use sys::PROGRAMS;
use sys::report::Report;

/// The script, in a folder that persists.
const SCRIPT: &str = "/opt/rancher/bin/start.sh";

/// The log: the output of the last run, and its exit status if it failed.
const LOG: &str = "/var/log/start.log";

/// The argument with which the console's program runs the script.
pub(crate) const NAME: &str = "start-script";

/// Starts a process that runs the script, if there is one.
///
/// # Errors
/// The process cannot be started.
#[allow(
    clippy::zombie_processes,
    reason = "`respawn::keep_running` reaps every child"
)]
pub(crate) fn start() -> std::io::Result<()> {
    if Path::new(SCRIPT).exists() {
        Command::new(format!("{}/console", PROGRAMS))
            .arg(NAME)
            .stdin(Stdio::null())
            .spawn()?;
    }
    Ok(())
}

/// Runs the script to its end, and reports a failure.
pub(crate) fn main() -> ExitCode {
    let Err(error) = run(SCRIPT.as_ref(), LOG.as_ref()) else {
        return ExitCode::SUCCESS;
    };
    Report::new().print(&format!("rancher: {SCRIPT} failed: {error}"));
    ExitCode::FAILURE
}

fn run(script: &Path, log: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(script).map_err(|error| error.to_string())?;
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(format!(
            "it is not executable; hint: `sudo chmod +x {}`",
            script.display()
        ));
    }
    let at = |error: std::io::Error| format!("{}: {error}", log.display());
    let mut log_file = File::create(log).map_err(at)?;
    let output = log_file.try_clone().map_err(at)?;
    let errors = output.try_clone().map_err(at)?;
    let status = Command::new(script)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        writeln!(log_file, "{}: {status}", script.display()).map_err(at)?;
        Err(format!("{status}; hint: see {}", log.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(content: &str, mode: u32) -> (Result<(), String>, String) {
        let folder = tempfile::tempdir().unwrap();
        let (script, log) = (folder.path().join("start.sh"), folder.path().join("log"));
        // Written by another process: while this one has the file open for writing, so has a child that
        // another test starts, and executing the script fails (ETXTBSY).
        let write = r#"printf %s "$1" > "$2" && chmod "$3" "$2""#;
        let mode = format!("{mode:o}");
        let written = Command::new("sh")
            .args(["-c", write, "sh", content])
            .arg(&script)
            .arg(mode)
            .status()
            .unwrap();
        assert!(written.success());
        let outcome = run(&script, &log);
        (outcome, std::fs::read_to_string(log).unwrap_or_default())
    }

    #[test]
    fn run_logs_output_and_status_when_the_script_fails() {
        let (outcome, log) = outcome("#!/bin/sh\necho out; echo err >&2; exit 3\n", 0o755);
        assert!(
            outcome
                .unwrap_err()
                .starts_with("exit status: 3; hint: see ")
        );
        assert!(log.starts_with("out\nerr\n") && log.ends_with("/start.sh: exit status: 3\n"));
    }

    #[test]
    fn run_fails_when_the_script_cannot_be_executed() {
        assert!(
            outcome("#!/bin/sh\n", 0o644)
                .0
                .unwrap_err()
                .contains("chmod")
        );
        assert!(outcome("#!/no/such/shell\n", 0o755).0.is_err());
        assert_eq!(outcome("#!/bin/sh\n", 0o755).0, Ok(()));
    }
}
