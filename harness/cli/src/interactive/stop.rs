//! `harness stop`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::state::StateFolder;
use super::{other, runtime};
use base::wait::{Poll, WaitError, wait_until};
use host::{port, speed};
use machine::MachineError;

/// For the end of what was killed, on the reference host.
const KILLED_SECONDS: u64 = 10;

/// Ends the running machine: the owner lets the guest power off, and cuts its power when it does
/// not. An owner that does not even come to that is killed, and its machine with it.
///
/// # Errors
/// The machine cannot be ended.
pub fn stop(state_folder: &Path) -> Result<ExitCode, MachineError> {
    let state = StateFolder::new(state_folder);
    let Some(running) = state.running()? else {
        eprintln!("no machine runs");
        return Ok(ExitCode::SUCCESS);
    };
    let owner = Pid::from_raw(running.pid);
    runtime()?.block_on(async {
        eprintln!("powering off the machine of pid {owner}");
        signal(owner, Signal::SIGTERM)?;
        let limit = Duration::from_secs(running.ends_within);
        if gone(&state, limit).await.is_err() {
            signal(owner, Signal::SIGKILL)?;
            gone(&state, speed::seconds(KILLED_SECONDS)).await?;
            // The kernel ends QEMU when its owner has ended, and nobody waits for that.
            silent(running.port).await?;
        }
        eprintln!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// An owner that is gone meanwhile is what was wanted.
fn signal(owner: Pid, signal: Signal) -> Result<(), MachineError> {
    match kill(owner, signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(other(format!("pid {owner} cannot be ended: {errno}"))),
    }
}

/// The lock of the folder is free again.
async fn gone(state: &StateFolder, limit: Duration) -> Result<(), WaitError> {
    wait_until("the end of the machine", limit, async || {
        match state.running() {
            Ok(None) => Poll::Ready(()),
            Ok(Some(running)) => Poll::NotYet(format!("pid {} runs", running.pid)),
            Err(error) => Poll::Failed(error.to_string()),
        }
    })
    .await
}

/// Nobody listens on the port of the machine any more.
async fn silent(ssh: Option<u16>) -> Result<(), WaitError> {
    let limit = speed::seconds(KILLED_SECONDS);
    wait_until("the end of QEMU", limit, async || {
        match ssh.map_or(Ok(()), port::check_free) {
            Ok(()) => Poll::Ready(()),
            Err(taken) => Poll::NotYet(taken),
        }
    })
    .await
}
