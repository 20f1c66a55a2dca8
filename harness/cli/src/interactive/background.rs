//! `harness run --background`: machines that outlive the command.
//!
//! The command starts itself again as the owner of the machines, with the same arguments and an environment
//! variable. The owner writes lines to a pipe: its progress, and one when the machines are ready. It closes the
//! pipe if the start fails. All other output of the owner is in `run.log` of the state folder.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use super::boot::Booting;
use super::signals::Signals;
use super::state::StateFolder;
use super::{other, runtime};
use machine::MachineError;

/// The environment variable that is set for the owner.
const OWNER: &str = "HARNESS_BACKGROUND_OWNER";
/// The prefix of the line that reports that the machines are ready; a message follows as JSON.
const READY: &str = "harness-background-ready: ";
/// The prefix of the line that reports progress.
const NOTE: &str = "harness-background-note: ";
const LOG: &str = "run.log";

/// Whether this process is the owner.
pub(super) fn is_owner() -> bool {
    std::env::var_os(OWNER).is_some()
}

/// Reports progress of the start to the user.
pub(super) fn note(text: &str) {
    if is_owner() {
        let _ = writeln!(std::io::stdout(), "{NOTE}{text}");
    } else {
        eprintln!("{text}");
    }
}

/// Starts the owner and waits until the machines are ready. Ctrl-C during the wait stops the owner.
pub(super) fn start(state_folder: &Path) -> Result<ExitCode, MachineError> {
    let state = StateFolder::new(state_folder);
    // Report a conflict here rather than in the log of the owner, which claims the folder itself.
    drop(state.claim()?);
    let log = state.file(LOG);
    let mut owner =
        spawn(&log).map_err(|e| other(format!("cannot start the owner process: {e}")))?;
    let runtime = runtime()?;
    let started = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let stdout = owner.stdout.take();
        let ready = tokio::task::spawn_blocking(move || stdout.and_then(ready_line));
        tokio::select! {
            ready = ready => ready.map_err(other)?.ok_or_else(|| other(failure_reason(&log))),
            () = signals.any() => Err(other("interrupted")),
        }
    });
    match started {
        Ok(message) => {
            eprintln!("ready: {message}");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // Its machines exit with it.
            let _ = owner.kill();
            let _ = owner.wait();
            Err(error)
        }
    }
}

fn spawn(log: &Path) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(OWNER, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(log)?)
        .spawn()
}

/// The message of the owner's ready line. Prints the progress before it.
fn ready_line(pipe: impl std::io::Read) -> Option<String> {
    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
        if let Some(note) = line.strip_prefix(NOTE) {
            eprintln!("{note}");
        }
        if let Some(message) = line.strip_prefix(READY) {
            return serde_json::from_str(message).ok();
        }
    }
    None
}

/// The content of the owner's log, without the `error: ` prefix.
fn failure_reason(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let reason = text.trim().trim_start_matches("error: ").to_owned();
    if reason.is_empty() {
        format!("the machine exited; see {}", log.display())
    } else {
        reason
    }
}

/// Runs as the owner until all machines have ended or a signal arrives.
pub(super) fn own(
    begin: impl Future<Output = Result<Booting, MachineError>>,
) -> Result<ExitCode, MachineError> {
    // Leave the session of the terminal, so that Ctrl-C and SIGHUP do not reach this process.
    nix::unistd::setsid().map_err(other)?;
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let ready = async {
            let booting = begin.await?;
            booting.ready().await?;
            Ok::<_, MachineError>(booting)
        };
        let booting = tokio::select! {
            booting = ready => booting?,
            () = signals.any() => return Ok(ExitCode::FAILURE),
        };
        report_ready(&booting);
        tokio::select! {
            // It has reported how they ended.
            _ = booting.ended() => {}
            () = signals.any() => booting.power_off().await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Writes the ready line. A write error is ignored: if the starting process is gone, the machines keep running.
fn report_ready(booting: &Booting) {
    let message = booting.describe();
    let message = if booting.machines.len() > 1 {
        format!("{message}\nstop them with `harness stop`")
    } else {
        format!("{message}; stop it with `harness stop`")
    };
    let _ = writeln!(std::io::stdout(), "{READY}{}", serde_json::json!(message));
}
