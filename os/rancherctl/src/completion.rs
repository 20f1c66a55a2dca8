//! `rancherctl completion`: the completion scripts of shells.

use clap::Args;
use clap_complete::{Shell, generate};

/// `rancherctl completion`.
#[derive(Debug, Args)]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    /// Prints the completion script.
    pub(crate) fn print(&self, command: &mut clap::Command) {
        let name = command.get_name().to_owned();
        generate(self.shell, command, name, &mut std::io::stdout());
    }
}
