//! `rancherctl env`: runs a command with the environment variables of the configuration.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use clap::Args;

use crate::caller;

/// `rancherctl env`.
#[derive(Debug, Args)]
pub(crate) struct Env {
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

impl Env {
    /// Replaces this process with the command.
    ///
    /// # Errors
    /// The caller is not root, or the command cannot be run.
    pub(crate) fn run(self) -> Result<(), String> {
        caller::must_be_root()?;
        let variables = config::load_machine().config.environment;
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err("no command".into());
        };
        let error = std::process::Command::new(program)
            .args(arguments)
            .envs(variables)
            .exec();
        Err(format!("{}: {error}", program.to_string_lossy()))
    }
}
