//! `harness ssh`.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use base::command;
use machine::{MachineError, RANCHEROS};

use super::other;
use super::state::StateFolder;

/// Replaces this process by the system's SSH client, connected to a running machine. If `command` is not
/// empty, it runs instead of a shell.
///
/// # Errors
/// No machine is running; `machine` is none of those that run, or is left out although several run; there is
/// no SSH client.
pub fn ssh(
    state_folder: &Path,
    machine: Option<&str>,
    command: Vec<String>,
) -> Result<ExitCode, MachineError> {
    let state = StateFolder::new(state_folder);
    let none = || other("no machine is running; hint: start one with `harness run`");
    let running = state.running()?.ok_or_else(none)?;
    let machine = running.find(machine).map_err(other)?;
    let port = machine.port;
    let client = command::find("ssh")
        .ok_or_else(|| other("ssh is not installed; hint: `apt install openssh-client`"))?;
    let key = state.login_key(machine.name.as_deref());
    let key = Some(key).filter(|key| key.is_file());
    let key = key
        .iter()
        .flat_map(|key| [OsStr::new("-i"), key.as_os_str()]);
    // The machine creates new host keys with each new state disk, and it listens only on the loopback
    // interface.
    let error = Command::new(client)
        .args(key)
        .args(["-p", &port.to_string(), "-o", "StrictHostKeyChecking=no"])
        .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
        .args([&format!("{}@127.0.0.1", RANCHEROS.user), "--"])
        .args(command)
        .exec();
    Err(other(format!("cannot start ssh: {error}")))
}
