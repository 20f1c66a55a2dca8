//! What a shell completes this command by.

use clap::Args;
use clap_complete::{Shell, generate};

/// `rancherctl completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// For this shell
    shell: Shell,
}

impl Completion {
    /// Prints it.
    pub fn print(&self, command: &mut clap::Command) {
        let name = command.get_name().to_owned();
        generate(self.shell, command, name, &mut std::io::stdout());
    }
}
