//! The program `rancherctl`.

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    addon, cloud_init, completion, configuration, device, environment, power, service, tls, users,
    wait_for_docker,
};

/// Controls RancherOS.
#[derive(Debug, Parser)]
#[command(name = "rancherctl", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List, enable and disable addons
    #[command(subcommand)]
    Addon(addon::Command),
    /// Show the status of cloud-init, check user-data, query datasources again
    #[command(subcommand)]
    CloudInit(cloud_init::Action),
    /// Show and change the configuration
    #[command(subcommand)]
    Config(configuration::Command),
    #[command(flatten)]
    Power(power::Command),
    /// List, start and stop services
    #[command(subcommand)]
    Service(service::Command),
    /// Manage the certificates of the user's Docker
    #[command(subcommand)]
    Tls(tls::Command),
    /// Run a command with the environment variables of the configuration (`environment`)
    Env(environment::Env),
    /// Print the device of a disk or partition
    Dev(device::Dev),
    /// Show information about the operating system
    #[command(subcommand)]
    Os(Os),
    /// Print the completion script of a shell
    Completion(completion::Completion),
}

#[derive(Debug, Subcommand)]
enum Os {
    /// Print the version of the operating system
    Version,
}

/// Runs the command that this process was called as.
pub fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let result = power::run_as(&name)
        .or_else(|| users::run_as(&name))
        .or_else(|| wait_for_docker::run_as(&name))
        .map_or_else(|| run(Arguments::parse().command), success);
    match result {
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

fn success(result: Result<(), String>) -> Result<ExitCode, String> {
    result.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_has_help(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "{path} has no help");
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{path} {}",
                argument.get_id()
            );
        }
        for below in command.get_subcommands() {
            assert_has_help(below, &path);
        }
    }

    #[test]
    fn every_command_and_argument_has_help() {
        let command = Arguments::command();
        command.clone().debug_assert();
        assert_has_help(&command, "");
    }
}
