//! Makes the machine's network interfaces what the configuration says, and keeps DHCP clients running
//! for those that get their address from somebody else.
//!
//! Whatever cannot be done for an interface is told, and left out; nobody waits for a network.
//!
//! Not its job: interfaces that come after it; `system-docker restart network` looks at them.

mod commands;
mod devices;
mod name_servers;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode, Stdio};

use config::{Config, Interface};
use init::report::Report;
use init::respawn::{Program, keep};

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
    let clients = match set_up(&config, &mut tell) {
        Ok(clients) => clients,
        Err(error) => {
            tell(error);
            return ExitCode::FAILURE;
        }
    };
    match keep(&clients, || ()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Sets the interfaces up; returns the DHCP clients that are to run.
fn set_up(config: &Config, tell: &mut impl FnMut(String)) -> Result<Vec<Program>, String> {
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
    let wanted = wanted(config, &devices);
    for (name, interface) in &wanted {
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
