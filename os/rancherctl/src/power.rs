//! `reboot`, `poweroff`, `halt`, `shutdown`, `init` and `telinit`.
//!
//! The program `power` does the work outside the console, because the console is stopped on the way.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{self, Stdio};

use clap::{Args, Parser, Subcommand};
use nix::sched::{CloneFlags, setns};

/// The program in the machine's root file system.
const POWER: &str = "/usr/lib/rancher/power";

/// The options of `reboot`, `poweroff` and `halt`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Options {
    /// Do not stop containers; only sync the disks
    #[arg(short, long)]
    force: bool,
    /// The time that containers have to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

/// The subcommands, which are also programs of these names.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Restart the machine
    Reboot(Options),
    /// Switch the machine off
    Poweroff(Options),
    /// Stop the machine and leave the power on
    Halt(Options),
}

#[derive(Debug, Parser)]
#[command(version, propagate_version = true, multicall = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Switch the machine off, or restart it",
    disable_help_flag = true
)]
struct Shutdown {
    /// Print help (`-h` has another meaning here)
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Restart
    #[arg(short, long)]
    reboot: bool,
    /// Switch off (the default)
    #[arg(
        short = 'h',
        short_alias = 'P',
        long = "poweroff",
        conflicts_with = "reboot"
    )]
    poweroff: bool,
    /// Stop and leave the power on
    #[arg(short = 'H', long, conflicts_with_all = ["reboot", "poweroff"])]
    halt: bool,
    #[command(flatten)]
    options: Options,
    /// The time; only `now` is supported
    #[arg(value_parser = ["now", "+0"], default_value = "now", hide_possible_values = true)]
    when: String,
}

/// `init` and `telinit` with a runlevel, for users and scripts of other systems.
#[derive(Debug, Parser)]
#[command(version, about = "Switch the machine off, or restart it")]
struct Init {
    /// 0 switches the machine off, 6 restarts it
    #[arg(value_parser = ["0", "6"])]
    runlevel: String,
}

/// What `power` does with the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Reboot,
    PowerOff,
    Halt,
}

/// Runs the program of this name with the arguments of this process, if it is one of this module.
pub(crate) fn run_as(name: &str) -> Option<Result<(), String>> {
    match name {
        "reboot" | "poweroff" | "halt" => Some(Program::parse().command.run()),
        "shutdown" => {
            let shutdown = Shutdown::parse();
            Some(run(shutdown.action(), &shutdown.options))
        }
        "init" | "telinit" => Some(run(Init::parse().action(), &Options::default())),
        _ => None,
    }
}

impl Command {
    /// Starts the action and returns when it has begun.
    ///
    /// # Errors
    /// The caller is not root, or is in a container without the privileges.
    pub(crate) fn run(&self) -> Result<(), String> {
        let (action, options) = self.parts();
        run(action, options)
    }

    fn parts(&self) -> (Action, &Options) {
        match self {
            Self::Reboot(options) => (Action::Reboot, options),
            Self::Poweroff(options) => (Action::PowerOff, options),
            Self::Halt(options) => (Action::Halt, options),
        }
    }
}

impl Init {
    fn action(&self) -> Action {
        match self.runlevel.as_str() {
            "6" => Action::Reboot,
            _ => Action::PowerOff,
        }
    }
}

impl Shutdown {
    fn action(&self) -> Action {
        match (self.reboot, self.halt) {
            (true, _) => Action::Reboot,
            (_, true) => Action::Halt,
            _ => Action::PowerOff,
        }
    }
}

fn run(action: Action, options: &Options) -> Result<(), String> {
    crate::caller::must_be_root()?;
    enter_host_mounts()
        .map_err(|error| format!("failed to enter the machine's mount namespace: {error}"))?;
    let mut power = process::Command::new(POWER)
        .args(arguments(action, options))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The program must survive the end of this terminal.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{POWER}: {error}"))?;
    let mut first_line = String::new();
    if let Some(stdout) = power.stdout.take() {
        // A read error is treated as no output.
        let _ = BufReader::new(stdout).read_line(&mut first_line);
    }
    if first_line.is_empty() {
        return Err(format!("{POWER} failed to start the action"));
    }
    Ok(())
}

fn enter_host_mounts() -> std::io::Result<()> {
    let mounts = File::open("/proc/1/ns/mnt")?;
    setns(mounts, CloneFlags::CLONE_NEWNS)?;
    Ok(())
}

fn arguments(action: Action, options: &Options) -> Vec<String> {
    let action = match action {
        Action::Reboot => "reboot",
        Action::PowerOff => "poweroff",
        Action::Halt => "halt",
    };
    let timeout = if options.force {
        Some("now".to_owned())
    } else {
        options.timeout.map(|seconds| seconds.to_string())
    };
    std::iter::once(action.to_owned()).chain(timeout).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shutdown(words: &[&str]) -> Option<Vec<String>> {
        let words = std::iter::once(&"shutdown").chain(words);
        let shutdown = Shutdown::try_parse_from(words).ok()?;
        Some(arguments(shutdown.action(), &shutdown.options))
    }

    fn reboot(words: &[&str]) -> Option<Vec<String>> {
        let words = std::iter::once(&"reboot").chain(words);
        let command = Program::try_parse_from(words).ok()?.command;
        let (action, options) = command.parts();
        Some(arguments(action, options))
    }

    #[test]
    fn shutdown_accepts_the_flags_of_other_systems() {
        let result = |words: &[&str]| shutdown(words).map(|words| words.join(" "));
        for (words, expected) in [
            (&["now"][..], "poweroff"),
            (&[], "poweroff"),
            (&["-h", "now"], "poweroff"),
            (&["-P", "now"], "poweroff"),
            (&["-H", "now"], "halt"),
            (&["-r", "now"], "reboot"),
            (&["-r", "-t", "3", "now"], "reboot 3"),
            (&["-f", "-r", "now"], "reboot now"),
        ] {
            assert_eq!(result(words).as_deref(), Some(expected), "{words:?}");
        }
        // An unsupported time must not be read as `now`.
        assert_eq!(result(&["-h", "+5"]), None);
        assert_eq!(result(&["-r", "-h", "now"]), None);
    }

    #[test]
    fn init_accepts_runlevels_0_and_6() {
        let action = |level| Some(Init::try_parse_from(["init", level]).ok()?.action());
        assert_eq!(action("0"), Some(Action::PowerOff));
        assert_eq!(action("6"), Some(Action::Reboot));
        assert_eq!(action("3"), None);
    }

    #[test]
    fn reboot_passes_the_timeout_to_power() {
        assert_eq!(reboot(&[]).unwrap(), ["reboot"]);
        assert_eq!(reboot(&["-f"]).unwrap(), ["reboot", "now"]);
        assert_eq!(reboot(&["-t", "0"]).unwrap(), ["reboot", "0"]);
        assert_eq!(reboot(&["-t", "soon"]), None);
    }
}
