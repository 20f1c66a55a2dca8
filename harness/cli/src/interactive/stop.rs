//! `harness stop`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::running::Running;
use super::state::StateFolder;
use super::{other, runtime};
use base::wait::{Poll, WaitError, wait_until};
use host::{port, speed};
use machine::MachineError;

/// The timeout after a SIGKILL, on the reference host.
const KILLED_SECONDS: u64 = 10;

/// Stops the running machines. The owner asks the guests to power off, and cuts the power of those that do
/// not. An owner that does not react is killed together with its machines.
///
/// # Errors
/// The machines cannot be stopped.
pub fn stop(state_folder: &Path) -> Result<ExitCode, MachineError> {
    let state = StateFolder::new(state_folder);
    let Some(running) = state.running()? else {
        eprintln!("no machine is running");
        return Ok(ExitCode::SUCCESS);
    };
    let owner = Pid::from_raw(running.pid);
    runtime()?.block_on(async {
        eprintln!("powering off {}", of_owner(&running));
        signal(owner, Signal::SIGTERM)?;
        let limit = Duration::from_secs(running.ends_within);
        if gone(&state, limit).await.is_err() {
            signal(owner, Signal::SIGKILL)?;
            gone(&state, speed::seconds(KILLED_SECONDS)).await?;
            // The kernel kills QEMU after its owner has exited, so wait until the ports are free.
            for machine in &running.machines {
                port_is_free(machine.port).await?;
            }
        }
        eprintln!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

fn of_owner(running: &Running) -> String {
    let pid = running.pid;
    match running.machines.len() {
        0 | 1 => format!("the machine of pid {pid}"),
        count => format!("the {count} machines of pid {pid}"),
    }
}

/// Sends a signal. An owner that has exited already is not an error.
fn signal(owner: Pid, signal: Signal) -> Result<(), MachineError> {
    match kill(owner, signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(other(format!(
            "cannot send {signal} to pid {owner}: {errno}"
        ))),
    }
}

/// Waits until the lock of the folder is free.
async fn gone(state: &StateFolder, limit: Duration) -> Result<(), WaitError> {
    wait_until("the end of the machine", limit, async || {
        match state.running() {
            Ok(None) => Poll::Ready(()),
            Ok(Some(running)) => Poll::NotYet(format!("pid {} is running", running.pid)),
            Err(error) => Poll::Failed(error.to_string()),
        }
    })
    .await
}

/// Waits until the SSH port of a machine is free.
async fn port_is_free(ssh: u16) -> Result<(), WaitError> {
    let limit = speed::seconds(KILLED_SECONDS);
    wait_until("the end of QEMU", limit, async || {
        match port::check_free(ssh) {
            Ok(()) => Poll::Ready(()),
            Err(taken) => Poll::NotYet(taken),
        }
    })
    .await
}
