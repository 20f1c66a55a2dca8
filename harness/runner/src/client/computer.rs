//! The root of the client, and whether this host can run it.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use images::Computer;

use crate::project::Project;

use super::client::Client;
use super::sandbox::PROGRAM;

/// The definition in `images/` that the root is built from.
const DEFINITION: &str = "client";

/// Why this host cannot run the client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// bubblewrap is missing.
    #[error("`{PROGRAM}` is not installed; hint: run `ci/setup tests` or `apt install bubblewrap`")]
    NotInstalled,
    /// The root cannot be built.
    #[error("{}", .0.short())]
    Image(images::BuildError),
    /// The private folder cannot be created.
    #[error(transparent)]
    Folder(io::Error),
    /// bubblewrap cannot isolate a program.
    #[error(
        "cannot run bubblewrap, which client steps need: {0}; hint: on Ubuntu, allow user \
         namespaces with `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    )]
    CannotRun(String),
}

/// Returns the root of the client after checking that this host can run it. Checked once per process.
///
/// # Errors
/// What is missing, and how to install it.
pub(crate) fn computer(project: &Project) -> Result<&'static Computer, ClientError> {
    static READY: OnceLock<Computer> = OnceLock::new();
    if let Some(computer) = READY.get() {
        return Ok(computer);
    }
    check_program()?;
    let made = images::computer(project.root(), DEFINITION);
    let computer = made.map_err(ClientError::Image)?;
    check_runs(&computer.root)?;
    Ok(READY.get_or_init(|| computer))
}

pub(super) fn check_program() -> Result<(), ClientError> {
    match base::command::find(PROGRAM) {
        Some(_) => Ok(()),
        None => Err(ClientError::NotInstalled),
    }
}

/// Runs `true` in the sandbox.
pub(super) fn check_runs(root: &Path) -> Result<(), ClientError> {
    let trial = Client::without_keys(root).map_err(ClientError::Folder)?;
    let mut command = std::process::Command::new(PROGRAM);
    command.args(trial.sandbox()).arg("true");
    let ran = command.stdin(Stdio::null()).output();
    let why = match ran {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(ClientError::CannotRun(why))
}
