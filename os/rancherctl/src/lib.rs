//! The command that people type to see and change the machine. It is other commands by other names:
//! `reboot`, `poweroff`, `halt`, `shutdown`, `init`, `telinit`; `useradd`, `usermod`, `userdel`, `groupadd`,
//! `groupdel`; `wait-for-docker`.

mod addon;
mod caller;
mod cloud_init;
mod completion;
mod configuration;
mod device;
mod environment;
mod people;
mod power;
mod service;
mod tls;
mod wait_for_docker;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Controls RancherOS.
#[derive(Debug, Parser)]
#[command(name = "rancherctl", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See and change what is part of the machine beside what it comes with
    #[command(subcommand)]
    Addon(addon::Command),
    /// Show what the cloud told this machine, check user-data, ask again
    #[command(subcommand)]
    CloudInit(cloud_init::Action),
    /// See and change the configuration
    #[command(subcommand)]
    Config(configuration::Command),
    #[command(flatten)]
    Power(power::Command),
    /// See, start and end the system's services, and those of one's own
    #[command(subcommand)]
    Service(service::Command),
    /// Certificates of the user's Docker
    #[command(subcommand)]
    Tls(tls::Command),
    /// Run a command with the variables of the configuration (`environment`)
    Env(environment::Env),
    /// Print the device of a disk or partition
    Dev(device::Dev),
    /// The operating system itself
    #[command(subcommand)]
    Os(Os),
    /// Print what a shell completes this command by
    Completion(completion::Completion),
}

#[derive(Debug, Subcommand)]
enum Os {
    /// Print the version of the operating system
    Version,
}

/// The command, by the arguments of this process.
pub fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let called = power::called(&name)
        .or_else(|| people::called(&name))
        .or_else(|| wait_for_docker::called(&name))
        .map(done);
    match called.unwrap_or_else(|| run(Arguments::parse().command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, String> {
    match command {
        Command::Addon(command) => addon::run(&command)?,
        Command::CloudInit(action) => return cloud_init::run(&action),
        Command::Config(command) => configuration::run(command)?,
        Command::Power(command) => command.run()?,
        Command::Service(command) => return service::run(&command),
        Command::Tls(command) => tls::run(command)?,
        Command::Env(env) => env.run()?,
        Command::Dev(dev) => dev.run()?,
        Command::Os(Os::Version) => println!("{}", config::VERSION),
        Command::Completion(completion) => completion.print(&mut Arguments::command()),
    }
    Ok(ExitCode::SUCCESS)
}

fn done(result: Result<(), String>) -> Result<ExitCode, String> {
    result.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says_what_it_is(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "{path} says nothing");
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{path} {}",
                argument.get_id()
            );
        }
        for below in command.get_subcommands() {
            says_what_it_is(below, &path);
        }
    }

    #[test]
    fn help_covers_all() {
        let command = Arguments::command();
        command.clone().debug_assert();
        says_what_it_is(&command, "");
    }
}
