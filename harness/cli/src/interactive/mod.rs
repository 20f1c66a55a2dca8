//! The interactive machine: `harness run`, `ssh` and `stop`.
//!
//! Each state folder has one machine, whose state disk persists between runs. The owner process of the
//! machine holds the lock of the folder; `ssh` and `stop` find the owner through the lock file. In the
//! background, the owner is a second process of the same command in its own session, so it outlives the
//! shell.

mod background;
mod boot;
mod cloud_config;
mod enter;
mod escape;
mod foreground;
mod state;
mod stop;
mod terminal;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::artifacts::Artifacts;
use base::command;
pub use enter::{EnterOptions, Entered, enter};
use machine::profile::ResolvedProfile;
use machine::{MachineError, RANCHEROS};
use state::StateFolder;
pub use stop::stop;

/// The options of `harness run`.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The hardware profile.
    pub profile: ResolvedProfile,
    /// Kernel and initrd.
    pub artifacts: Artifacts,
    /// Start with an empty state disk.
    pub fresh: bool,
    /// The port of this host for SSH; the default is 2222.
    pub port: u16,
    /// The memory in MiB; the default is that of the profile.
    pub memory: Option<u64>,
    /// Additional kernel arguments.
    pub append: Vec<String>,
    /// User data, to which the user's keys are added.
    pub cloud_config: Option<PathBuf>,
    /// Leave the machine running in the background when it is ready.
    pub background: bool,
    /// The folder of the state disk and the lock.
    pub state_folder: PathBuf,
}

/// Boots the machine, with its serial console in this terminal, or in the background.
///
/// # Errors
/// The machine cannot be started, or it failed.
pub fn run(options: RunOptions) -> Result<ExitCode, MachineError> {
    match (background::is_owner(), options.background) {
        (true, _) => background::own(boot::start(&options)),
        (false, true) => background::start(&options.state_folder),
        (false, false) => foreground::run(boot::start(&options)),
    }
}

/// Replaces this process by the system's SSH client, connected to the running machine. If `command` is not
/// empty, it runs instead of a shell.
///
/// # Errors
/// No machine is running, or there is no SSH client.
pub fn ssh(state_folder: &Path, command: Vec<String>) -> Result<ExitCode, MachineError> {
    let state = StateFolder::new(state_folder);
    let port = state.running()?.and_then(|running| running.port);
    let port =
        port.ok_or_else(|| other("no machine is running; hint: start one with `harness run`"))?;
    let client = command::find("ssh")
        .ok_or_else(|| other("ssh is not installed; hint: `apt install openssh-client`"))?;
    let key = Some(state.login_key()).filter(|key| key.is_file());
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

fn other(text: impl ToString) -> MachineError {
    MachineError::Other(text.to_string())
}

fn runtime() -> Result<tokio::runtime::Runtime, MachineError> {
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    built.map_err(other)
}
