//! `/opt/rancher/bin/start.sh`: what the user wants done whenever a console starts. It runs beside the
//! logins, so that one that fails, or never ends, locks nobody out.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::report::Report;

/// The script, which lies where what is written is kept.
const SCRIPT: &str = "/opt/rancher/bin/start.sh";

/// What it printed the last time, and how it failed if it did.
const LOG: &str = "/var/log/start.log";

/// What the console's program is told to be when it runs the script.
pub const NAME: &str = "start-script";

/// Starts a process that runs the script, if there is one; whoever reaps this process's children
/// waits for it.
///
/// # Errors
/// The process cannot be started.
#[allow(
    clippy::zombie_processes,
    reason = "`respawn::keep` waits for every child"
)]
pub fn begin() -> std::io::Result<()> {
    if Path::new(SCRIPT).exists() {
        Command::new(format!("{}/console", crate::PROGRAMS))
            .arg(NAME)
            .stdin(Stdio::null())
            .spawn()?;
    }
    Ok(())
}

/// Runs the script to its end, and says how that was.
pub fn main() -> ExitCode {
    let Err(error) = run(SCRIPT.as_ref(), LOG.as_ref()) else {
        return ExitCode::SUCCESS;
    };
    Report::new().say(&format!("rancher: {SCRIPT} failed: {error}"));
    ExitCode::FAILURE
}

fn run(script: &Path, log: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(script).map_err(|error| error.to_string())?;
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(format!(
            "it is not executable; try `sudo chmod +x {}`",
            script.display()
        ));
    }
    let told = |error: std::io::Error| format!("{}: {error}", log.display());
    let mut last_word = File::create(log).map_err(told)?;
    let output = last_word.try_clone().map_err(told)?;
    let errors = output.try_clone().map_err(told)?;
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
        writeln!(last_word, "{}: {status}", script.display()).map_err(told)?;
        Err(format!("{status}; see {}", log.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(content: &str, mode: u32) -> (Result<(), String>, String) {
        let folder = tempfile::tempdir().unwrap();
        let (script, log) = (folder.path().join("start.sh"), folder.path().join("log"));
        // By another process: while this one has it open to write, a child that another test starts
        // has so too, and the script is busy.
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
    fn what_it_prints_is_kept_and_its_status_told() {
        let (outcome, log) = outcome("#!/bin/sh\necho out; echo err >&2; exit 3\n", 0o755);
        assert!(outcome.unwrap_err().starts_with("exit status: 3; see "));
        assert!(log.starts_with("out\nerr\n") && log.ends_with("/start.sh: exit status: 3\n"));
    }

    #[test]
    fn one_that_cannot_be_run_is_told() {
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
