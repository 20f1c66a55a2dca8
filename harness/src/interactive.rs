//! Stand-in with the signatures of the machine branch; replaced when the two are merged.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::artifacts::Artifacts;
use crate::machine::MachineError;
use crate::profile::ResolvedProfile;

/// What `harness run` was asked for.
#[derive(Debug)]
#[allow(missing_docs, reason = "replaced at the merge")]
pub struct RunOptions {
    pub profile: ResolvedProfile,
    pub artifacts: Artifacts,
    pub fresh: bool,
    pub port: u16,
    pub memory: Option<u64>,
    pub append: Vec<String>,
    pub cloud_config: Option<PathBuf>,
    pub background: bool,
    pub state_folder: PathBuf,
}

/// Runs a machine for a person.
///
/// # Errors
/// Always, until the merge.
pub fn run(options: RunOptions) -> Result<ExitCode, MachineError> {
    Err(MachineError::Other(format!("not merged: {options:?}")))
}

/// Opens a shell in it.
///
/// # Errors
/// Always, until the merge.
pub fn ssh(state_folder: &Path, command: Vec<String>) -> Result<ExitCode, MachineError> {
    Err(MachineError::Other(format!("not merged: {state_folder:?} {command:?}")))
}

/// Ends it.
///
/// # Errors
/// Always, until the merge.
pub fn stop(state_folder: &Path) -> Result<ExitCode, MachineError> {
    Err(MachineError::Other(format!("not merged: {state_folder:?}")))
}
