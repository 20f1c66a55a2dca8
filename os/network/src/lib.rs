//! Makes the machine's network interfaces what the configuration says, and keeps DHCP clients running
//! for those that get their address from somebody else.
//!
//! Whatever cannot be done for an interface is told, and left out; nobody waits for a network. One that
//! comes later is set up then.

mod commands;
mod devices;
mod name_servers;

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode, Stdio};

use config::{Config, Interface};
use init::report::Report;
use init::respawn::{Program, keep_wanted};
use init::uevents;

/// What the DHCP client calls when a lease changes.
const LEASE_SCRIPT: &str = "/usr/share/rancher/dhcp.sh";

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
    let changes = uevents::open();
    let changes = changes.map_err(|error| tell(format!("interfaces that come: {error}")));
    let changes = changes.ok();
    let mut there = BTreeMap::new();
    let begun = begin(&config, &mut tell).and_then(|()| set_up(&config, &mut there, &mut tell));
    let mut clients = match begun {
        Ok(clients) => clients,
        Err(error) => {
            tell(error);
            return ExitCode::FAILURE;
        }
    };
    let kept = keep_wanted(changes.as_ref().map(|socket| socket.as_fd()), || {
        let changed = changes.as_ref().map(uevents::interface_changed);
        if changed == Some(Ok(true)) {
            match set_up(&config, &mut there, &mut tell) {
                Ok(wanted) => clients = wanted,
                Err(error) => tell(error),
            }
        }
        clients.clone()
    });
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("network: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes what others become part of, and says which are not there.
fn begin(config: &Config, tell: &mut impl FnMut(String)) -> Result<(), String> {
    let before = devices::all()?;
    run(&["link", "set", "dev", "lo", "up"]).unwrap_or_else(&mut *tell);
    for bridge in commands::missing_bridges(&config.network, &before) {
        run(&["link", "add", "name", bridge, "type", "bridge"]).unwrap_or_else(&mut *tell);
    }
    let devices = devices::all()?;
    for (name, _) in config.network.named() {
        if !devices.contains_key(name) {
            tell(format!("there is no interface {name}"));
        }
    }
    Ok(())
}

/// Sets the interfaces up that are not `there` yet; returns the DHCP clients that are to run.
fn set_up(
    config: &Config,
    there: &mut BTreeMap<String, String>,
    tell: &mut impl FnMut(String),
) -> Result<Vec<Program>, String> {
    let before = std::mem::replace(there, devices::all()?);
    let wanted = wanted(config, there);
    for (name, interface) in &wanted {
        if before.contains_key(*name) {
            continue;
        }
        for command in commands::of(name, interface) {
            let words: Vec<_> = command.iter().map(String::as_str).collect();
            run(&words).unwrap_or_else(&mut *tell);
        }
    }
    let asking = wanted.iter().filter(|(_, interface)| interface.asks_dhcp());
    Ok(asking.map(|(name, _)| client(name, config)).collect())
}

/// The interfaces of which something is said, bridges first: others become part of them.
fn wanted<'a>(
    config: &'a Config,
    devices: &'a BTreeMap<String, String>,
) -> Vec<(&'a str, &'a Interface)> {
    let settings = |(name, address): (&'a String, &'a String)| {
        let interface = config.network.of(name, address)?;
        Some((name.as_str(), interface))
    };
    let mut all: Vec<_> = devices.iter().filter_map(settings).collect();
    all.sort_by_key(|(_, interface)| interface.bridge != Some(config::Bridge::Is(true)));
    all
}

/// Asks for an address and keeps it leased; the name that the machine has goes with the question.
fn client(interface: &str, config: &Config) -> Program {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = format!("hostname:{}", name.to_string_lossy());
    let search = format!("SEARCH={}", config.dns.search.join(" "));
    let udhcpc = ["udhcpc", "-i", interface, "-f", "-S", "-R"];
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
