//! The interactive machine: `harness run`, `ssh` and `stop`.
//!
//! There is one for each state folder, with a state disk that is kept between runs. Whoever runs
//! it holds the folder's lock; `ssh` and `stop` find it there. In the background, the owner is this
//! very command once more, in a session of its own, so that it outlives the shell.

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
use machine::MachineError;
use machine::profile::ResolvedProfile;
use state::StateFolder;
pub use stop::stop;

/// What `harness run` was asked for.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The machine.
    pub profile: ResolvedProfile,
    /// Kernel and initrd.
    pub artifacts: Artifacts,
    /// Begin with an empty state disk.
    pub fresh: bool,
    /// Host port for SSH, usually 2222.
    pub port: u16,
    /// MiB, when not the profile's.
    pub memory: Option<u64>,
    /// More kernel arguments.
    pub append: Vec<String>,
    /// Given user data; the keys of the user are merged into it.
    pub cloud_config: Option<PathBuf>,
    /// Come back when the machine is ready, and leave it running.
    pub background: bool,
    /// Where the state disk and the lock are.
    pub state_folder: PathBuf,
}

/// Boots the machine, with its serial console in this terminal, or in the background.
///
/// # Errors
/// It cannot be started, or broke.
pub fn run(options: RunOptions) -> Result<ExitCode, MachineError> {
    match (background::is_owner(), options.background) {
        (true, _) => background::own(boot::start(&options)),
        (false, true) => background::start(&options.state_folder),
        (false, false) => foreground::run(boot::start(&options)),
    }
}

/// Opens an SSH session with the running machine by the system's client, which takes the place of
/// this process; `command` is run instead of a shell when it is not empty.
///
/// # Errors
/// No machine runs, or there is no client.
pub fn ssh(state_folder: &Path, command: Vec<String>) -> Result<ExitCode, MachineError> {
    let state = StateFolder::new(state_folder);
    let port = state.running()?.and_then(|running| running.port);
    let port = port.ok_or_else(|| other("no machine runs; start one with `harness run`"))?;
    let client = command::find("ssh")
        .ok_or_else(|| other("no ssh on this host; apt install openssh-client"))?;
    let key = Some(state.login_key()).filter(|key| key.is_file());
    let key = key
        .iter()
        .flat_map(|key| [OsStr::new("-i"), key.as_os_str()]);
    // The machine makes new host keys with each new state disk; it listens on this host only.
    let error = Command::new(client)
        .args(key)
        .args(["-p", &port.to_string(), "-o", "StrictHostKeyChecking=no"])
        .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
        .args(["rancher@127.0.0.1", "--"])
        .args(command)
        .exec();
    Err(other(format!("ssh did not start: {error}")))
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
