//! Makes the machine's network interfaces what the configuration says, and keeps DHCP clients running
//! for those that get their address from somebody else.
//!
//! Whatever cannot be done for an interface is told, and left out; nobody waits for a network. One that
//! comes later is set up then, and a name that comes later is told to the DHCP servers then.

mod commands;
mod devices;
mod name_servers;

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode, Stdio};

use config::{Config, Interface};
use devices::Devices;
use init::report::Report;
use init::respawn::{Program, keep_wanted};
use init::uevents;
use nix::poll::PollFlags;

/// What the DHCP client calls when a lease changes.
const LEASE_SCRIPT: &str = "/usr/share/rancher/dhcp.sh";

/// The machine's name; poll(2) tells of another one as of something urgent (`fs/proc/proc_sysctl.c`).
const NAME: &str = "/proc/sys/kernel/hostname";

/// Runs until it is told to end.
pub fn main() -> ExitCode {
    let config = config::load_machine().config;
    let mut report = Report::new();
    let mut tell = |error: String| {
        eprintln!("network: {error}");
        report.say(&format!("rancher: network: {error}"));
    };
    if let Err(error) = name_servers::write(&config.dns) {
        tell(error);
    }
    // Before the first look, so that none is missed.
    let uevents = uevents::open().map_err(|error| tell(format!("interfaces that come: {error}")));
    let names = File::open(NAME).map_err(|error| tell(format!("{NAME}: {error}")));
    let (uevents, names) = (uevents.ok(), names.ok());
    let changes = [
        uevents.as_ref().map(|it| (it.as_fd(), PollFlags::POLLIN)),
        names.as_ref().map(|it| (it.as_fd(), PollFlags::POLLPRI)),
    ];
    let changes: Vec<_> = changes.into_iter().flatten().collect();
    let mut there = match begin(&config, &mut tell) {
        Ok(there) => there,
        Err(error) => {
            tell(error);
            return ExitCode::FAILURE;
        }
    };
    set_up(&config, &Devices::new(), &there, &mut tell);
    let kept = keep_wanted(&changes, || {
        let changed = uevents.as_ref().map(uevents::interface_changed);
        if changed == Some(Ok(true)) {
            match devices::all() {
                Ok(now) => {
                    set_up(&config, &there, &now, &mut tell);
                    there = now;
                }
                Err(error) => tell(error),
            }
        }
        clients(&config, &there)
    });
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("network: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes what others become part of, and says which interfaces are not there; returns those that are.
fn begin(config: &Config, tell: &mut impl FnMut(String)) -> Result<Devices, String> {
    run(&["link", "set", "dev", "lo", "up"]).unwrap_or_else(&mut *tell);
    let mut devices = devices::all()?;
    let bridges = commands::missing_bridges(&config.network, &devices);
    for bridge in &bridges {
        run(&["link", "add", "name", bridge, "type", "bridge"]).unwrap_or_else(&mut *tell);
    }
    if !bridges.is_empty() {
        devices = devices::all()?;
    }
    for (name, _) in config.network.named() {
        if !devices.contains_key(name) {
            tell(format!("there is no interface {name}"));
        }
    }
    Ok(devices)
}

/// Sets those interfaces up that were not there before.
fn set_up(config: &Config, before: &Devices, now: &Devices, tell: &mut impl FnMut(String)) {
    for (name, interface) in wanted(config, now) {
        if before.contains_key(name) {
            continue;
        }
        for command in commands::of(name, interface) {
            let words: Vec<_> = command.iter().map(String::as_str).collect();
            run(&words).unwrap_or_else(&mut *tell);
        }
    }
}

/// The DHCP clients that are to run: others, where the machine has another name now.
fn clients(config: &Config, devices: &Devices) -> Vec<Program> {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    let wanted = wanted(config, devices);
    let asking = wanted.iter().filter(|(_, interface)| interface.asks_dhcp());
    let client = |(interface, _): &(&str, _)| client(interface, &name, config);
    asking.map(client).collect()
}

/// The interfaces of which something is said, bridges first: others become part of them.
fn wanted<'a>(config: &'a Config, devices: &'a Devices) -> Vec<(&'a str, &'a Interface)> {
    let settings = |(name, address): (&'a String, &'a String)| {
        let interface = config.network.of(name, address)?;
        Some((name.as_str(), interface))
    };
    let mut all: Vec<_> = devices.iter().filter_map(settings).collect();
    all.sort_by_key(|(_, interface)| interface.bridge != Some(config::Bridge::Is(true)));
    all
}

/// Asks for an address and keeps it leased; the machine's name goes with the question. The lease is not
/// given back at the end: the one that comes after it, with another name, is to have the same.
fn client(interface: &str, name: &str, config: &Config) -> Program {
    let name = format!("hostname:{name}");
    let search = format!("SEARCH={}", config.dns.search.join(" "));
    let udhcpc = ["udhcpc", "-i", interface, "-f", "-S"];
    // A second for an answer and five until it asks anew, as long as it takes.
    let patience = ["-T", "1", "-A", "5"];
    let told = ["-x", &name, "-s", LEASE_SCRIPT];
    let arguments = [&[search.as_str()][..], &udhcpc, &patience, &told].concat();
    Program::new("/usr/bin/env", &arguments)
}

/// Runs `ip`.
fn run(words: &[&str]) -> Result<(), String> {
    let mut command = Command::new("ip");
    let output = command.args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().last().unwrap_or("it does not say why");
    Err(format!("`ip {}`: {said}", words.join(" ")))
}
