//! Restarting and stopping the machine: what people say of it, and to whom it is told.
//!
//! `power` does it, a program of the machine itself: the console that this runs in is stopped on the way.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{self, Stdio};

use clap::{Args, Parser, Subcommand};
use nix::sched::{CloneFlags, setns};

/// What does it, in the machine's own root.
const POWER: &str = "/usr/lib/rancher/power";

/// How it is to end, as `reboot`, `poweroff` and `halt` take it.
#[derive(Debug, Clone, Default, Args)]
pub struct How {
    /// Stop no container: only write what is in memory to the disks
    #[arg(short, long)]
    force: bool,
    /// How long containers have to stop before they are killed
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

/// The end of the machine, also by these names alone.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Restart the machine
    Reboot(How),
    /// Switch the machine off
    Poweroff(How),
    /// Stop the machine, leaving the power on
    Halt(How),
}

#[derive(Debug, Parser)]
#[command(version, propagate_version = true, multicall = true)]
struct Called {
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
    /// Print help; `-h` is another flag here
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Restart
    #[arg(short, long)]
    reboot: bool,
    /// Switch off, as without a flag
    #[arg(
        short = 'h',
        short_alias = 'P',
        long = "poweroff",
        conflicts_with = "reboot"
    )]
    poweroff: bool,
    /// Stop, leaving the power on
    #[arg(short = 'H', long, conflicts_with_all = ["reboot", "poweroff"])]
    halt: bool,
    #[command(flatten)]
    how: How,
    /// When: `now`, as nothing else is known
    #[arg(value_parser = ["now", "+0"], default_value = "now", hide_possible_values = true)]
    when: String,
}

/// `init` and `telinit`, which people and scripts of other systems call with a runlevel.
#[derive(Debug, Parser)]
#[command(version, about = "Switch the machine off, or restart it")]
struct Init {
    /// 0 switches the machine off, 6 restarts it
    #[arg(value_parser = ["0", "6"])]
    runlevel: String,
}

/// What is to become of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Reboot,
    PowerOff,
    Halt,
}

/// Does what a command of this name does, with the arguments of this process; none is not of here.
pub fn called(name: &str) -> Option<Result<(), String>> {
    match name {
        "reboot" | "poweroff" | "halt" => Some(Called::parse().command.run()),
        "shutdown" => {
            let asked = Shutdown::parse();
            Some(run(asked.action(), &asked.how))
        }
        "init" | "telinit" => Some(run(Init::parse().action(), &How::default())),
        _ => None,
    }
}

impl Command {
    /// Has it done: returns when it has begun.
    ///
    /// # Errors
    /// The caller is not root, or is in a container that may not do this.
    pub fn run(&self) -> Result<(), String> {
        let (action, how) = self.meaning();
        run(action, how)
    }

    fn meaning(&self) -> (Action, &How) {
        match self {
            Self::Reboot(how) => (Action::Reboot, how),
            Self::Poweroff(how) => (Action::PowerOff, how),
            Self::Halt(how) => (Action::Halt, how),
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

fn run(action: Action, how: &How) -> Result<(), String> {
    crate::caller::must_be_root()?;
    enter_the_machine().map_err(|error| format!("the machine cannot be reached: {error}"))?;
    let mut power = process::Command::new(POWER)
        .args(arguments(action, how))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // It goes on when this terminal is gone.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{POWER}: {error}"))?;
    let mut begun = String::new();
    if let Some(said) = power.stdout.take() {
        // What cannot be read was not said.
        let _ = BufReader::new(said).read_line(&mut begun);
    }
    match begun.is_empty() {
        false => Ok(()),
        true => Err(format!("{POWER} did not begin")),
    }
}

fn enter_the_machine() -> std::io::Result<()> {
    let mounts = File::open("/proc/1/ns/mnt")?;
    setns(mounts, CloneFlags::CLONE_NEWNS)?;
    Ok(())
}

fn arguments(action: Action, how: &How) -> Vec<String> {
    let action = match action {
        Action::Reboot => "reboot",
        Action::PowerOff => "poweroff",
        Action::Halt => "halt",
    };
    let patience = match how {
        How { force: true, .. } => Some("now".to_owned()),
        How { timeout, .. } => timeout.map(|seconds| seconds.to_string()),
    };
    std::iter::once(action.to_owned()).chain(patience).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shutdown(words: &[&str]) -> Option<Vec<String>> {
        let words = std::iter::once(&"shutdown").chain(words);
        let asked = Shutdown::try_parse_from(words).ok()?;
        Some(arguments(asked.action(), &asked.how))
    }

    fn reboot(words: &[&str]) -> Option<Vec<String>> {
        let words = std::iter::once(&"reboot").chain(words);
        let command = Called::try_parse_from(words).ok()?.command;
        let (action, how) = command.meaning();
        Some(arguments(action, how))
    }

    #[test]
    fn shutdown_takes_the_flags_that_people_know() {
        let said = |words: &[&str]| shutdown(words).map(|words| words.join(" "));
        for (words, means) in [
            (&["now"][..], "poweroff"),
            (&[], "poweroff"),
            (&["-h", "now"], "poweroff"),
            (&["-P", "now"], "poweroff"),
            (&["-H", "now"], "halt"),
            (&["-r", "now"], "reboot"),
            (&["-r", "-t", "3", "now"], "reboot 3"),
            (&["-f", "-r", "now"], "reboot now"),
        ] {
            assert_eq!(said(words).as_deref(), Some(means), "{words:?}");
        }
        // What is not done must not be taken for now.
        assert_eq!(said(&["-h", "+5"]), None);
        assert_eq!(said(&["-r", "-h", "now"]), None);
    }

    #[test]
    fn init_knows_the_runlevels_that_end_a_machine() {
        let action = |level| Some(Init::try_parse_from(["init", level]).ok()?.action());
        assert_eq!(action("0"), Some(Action::PowerOff));
        assert_eq!(action("6"), Some(Action::Reboot));
        assert_eq!(action("3"), None);
    }

    #[test]
    fn reboot_takes_a_time_to_stop_or_none() {
        assert_eq!(reboot(&[]).unwrap(), ["reboot"]);
        assert_eq!(reboot(&["-f"]).unwrap(), ["reboot", "now"]);
        assert_eq!(reboot(&["-t", "0"]).unwrap(), ["reboot", "0"]);
        assert_eq!(reboot(&["-t", "soon"]), None);
    }
}
