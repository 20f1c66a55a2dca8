//! `harness run`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::artifacts::Artifacts;
use machine::MachineError;
use machine::profile::ResolvedProfile;

use super::{background, boot, foreground};

/// The options of `harness run`.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The hardware profile.
    pub profile: ResolvedProfile,
    /// Kernel and initrd.
    pub artifacts: Artifacts,
    /// How many machines; several are a cluster on one network.
    pub machines: u8,
    /// Start with empty state disks.
    pub fresh: bool,
    /// The port of this host for SSH, 2222 unless given. Further machines have the ports after it.
    pub port: u16,
    /// The memory of each machine in MiB; the default is that of the profile.
    pub memory: Option<u64>,
    /// Additional kernel arguments.
    pub append: Vec<String>,
    /// User data, to which the user's keys are added.
    pub cloud_config: Option<PathBuf>,
    /// Leave the machines running in the background when they are ready.
    pub background: bool,
    /// The folder of the state disks and the lock.
    pub state_folder: PathBuf,
}

/// Boots the machines: one with its serial console in this terminal, several with their progress in it, or in
/// the background.
///
/// # Errors
/// A machine cannot be started, or it failed.
pub fn run(options: RunOptions) -> Result<ExitCode, MachineError> {
    match (background::is_owner(), options.background) {
        (true, _) => background::own(boot::start(&options)),
        (false, true) => background::start(&options.state_folder),
        (false, false) => foreground::run(boot::start(&options)),
    }
}
