//! Signals to processes that write a PID file.

use std::io::Error;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The PID files of the two engines.
pub(crate) const SYSTEM_DOCKER: &str = "/run/system-docker.pid";
pub(crate) const USER_DOCKER: &str = "/run/docker.pid";

/// The process name of both engines.
const ENGINE: &str = "dockerd";

/// Sends a signal to the process in a PID file, if it has this process name: the file may be stale.
///
/// # Errors
/// The process does not exist, or this process has no permission to signal it.
pub fn signal(pid_file: &Path, name: &str, signal: Signal) -> Result<(), String> {
    let at = |error: Error| format!("{}: {error}", pid_file.display());
    let pid = std::fs::read_to_string(pid_file).map_err(at)?;
    let pid = pid.trim();
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match (pid.parse(), comm.trim() == name) {
        (Ok(pid), true) => kill(Pid::from_raw(pid), signal).map_err(|error| error.to_string()),
        _ => Err(format!("{name} does not run")),
    }
}

/// Makes an engine read its settings file again. An engine that does not run reads it when it starts.
pub(crate) fn hang_up(pid_file: &str) {
    let _ = signal(pid_file.as_ref(), ENGINE, Signal::SIGHUP);
}
