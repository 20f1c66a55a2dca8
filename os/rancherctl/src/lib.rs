//! The command that people type to see and change the machine; called `reboot`, `poweroff` or `halt`
//! it does that.

mod cloud_init;
mod power;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Controls RancherOS.
#[derive(Debug, Parser)]
#[command(name = "rancherctl", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what the cloud told this machine, check user-data, ask again
    #[command(subcommand)]
    CloudInit(cloud_init::Action),
    /// Restart the machine
    Reboot,
    /// Switch the machine off
    Poweroff,
    /// Stop the machine, leaving the power on
    Halt,
}

/// `reboot` and the like take no arguments yet.
#[derive(Debug, Parser)]
#[command(version)]
struct NoArguments {}

/// The command, by the arguments of this process.
pub fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let action = match name.as_str() {
        "reboot" => called(power::Action::Reboot),
        "poweroff" => called(power::Action::PowerOff),
        "halt" => called(power::Action::Halt),
        _ => match Arguments::parse().command {
            Command::Reboot => power::Action::Reboot,
            Command::Poweroff => power::Action::PowerOff,
            Command::Halt => power::Action::Halt,
            Command::CloudInit(action) => return cloud_init::run(&action),
        },
    };
    match power::run(action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn called(action: power::Action) -> power::Action {
    NoArguments::parse();
    action
}
