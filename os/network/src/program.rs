//! The program `network`.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use config::{Config, Interface, Loaded};
use nix::poll::PollFlags;
use sys::netlink::Netlink;
use sys::report::Report;
use sys::respawn::{Program, keep_running_with};
use sys::uevents::Uevents;

use crate::devices::{self, Devices};
use crate::state::{self, State, now};
use crate::{advertised, commands, hooks, lease_script, links, sysctl};

/// The program that the DHCP client calls when its lease changes.
const LEASE_SCRIPT: &str = "/usr/lib/rancher/dhcp-lease";

/// DHCP options that the client requests in addition to its defaults: search domains, routes, the MTU.
const OPTIONS: [&str; 5] = ["search", "staticroutes", "msstaticroutes", "routes", "mtu"];

/// The host name. poll(2) reports a change of it as `POLLPRI` (`fs/proc/proc_sysctl.c`).
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// Runs until it gets a signal to exit.
pub fn main() -> ExitCode {
    let loaded = config::load_machine();
    let config = &loaded.config;
    let mut report = Report::new();
    let mut report_error = |error: String| {
        eprintln!("network: {error}");
        report.print(&format!("rancher: network: {error}"));
    };
    // Opened before the interfaces are listed, so that no event is missed.
    let uevents = Uevents::open()
        .map_err(|error| report_error(format!("failed to watch interfaces: {error}")));
    let names = File::open(HOSTNAME).map_err(|error| report_error(format!("{HOSTNAME}: {error}")));
    let routers = advertised::open().map_err(|error| {
        report_error(format!(
            "failed to watch IPv6 router advertisements: {error}"
        ));
    });
    let (uevents, names, routers) = (uevents.ok(), names.ok(), routers.ok());
    let changes = [
        uevents.as_ref().map(|it| (it.as_fd(), PollFlags::POLLIN)),
        names.as_ref().map(|it| (it.as_fd(), PollFlags::POLLPRI)),
        routers.as_ref().map(|it| (it.as_fd(), PollFlags::POLLIN)),
    ];
    let changes: Vec<_> = changes.into_iter().flatten().collect();
    let mut known = match start(&loaded, &mut report_error) {
        Ok(devices) => devices,
        Err(error) => {
            report_error(error);
            return ExitCode::FAILURE;
        }
    };
    set_up(config, &Devices::new(), &known, &mut report_error);
    let result = keep_running_with(&changes, || {
        let changed = uevents.as_ref().map(Uevents::interface_changed);
        if changed == Some(Ok(true)) {
            match devices::all() {
                Ok(now) => {
                    set_up(config, &known, &now, &mut report_error);
                    known = now;
                }
                Err(error) => report_error(error),
            }
        }
        if let Some(routers) = &routers
            && let Err(error) = read_advertisements(routers, &loaded, &known)
        {
            report_error(format!("{}: {error}", state::FOLDER));
        }
        clients(config, &known)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("network: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Creates bridges and bonds, reports interfaces that do not exist, and returns the existing ones.
fn start(loaded: &Loaded, report_error: &mut impl FnMut(String)) -> Result<Devices, String> {
    commands::ip(&["link", "set", "dev", "lo", "up"]).unwrap_or_else(&mut *report_error);
    let network = &loaded.config.network;
    links::create(network, &devices::all()?, report_error);
    let devices = devices::all()?;
    let vlans = network
        .interfaces
        .values()
        .flat_map(|interface| &interface.vlans.0);
    let vlans: Vec<_> = vlans.filter_map(|vlan| vlan.name.as_deref()).collect();
    for (name, _) in network.named() {
        // A VLAN is created when the interface below it is set up.
        if !devices.contains_key(name) && !name.contains('.') && !vlans.contains(&name) {
            report_error(format!("interface {name} does not exist"));
        }
    }
    if let Err(error) = start_state(loaded, &devices) {
        report_error(format!("{}: {error}", state::FOLDER));
    }
    Ok(devices)
}

/// Removes the leases of interfaces that no longer use DHCP, and applies the other ones.
fn start_state(loaded: &Loaded, devices: &Devices) -> std::io::Result<()> {
    let state = State::lock()?;
    for name in state.interfaces() {
        let device = devices.get(&name);
        let interface = device.and_then(|it| loaded.config.network.of(&name, &it.address));
        if !interface.is_some_and(Interface::asks_dhcp) {
            state.forget(&name);
        }
    }
    lease_script::apply(loaded, devices, &state)
}

/// Reads and applies router advertisements.
fn read_advertisements(
    routers: &Netlink,
    loaded: &Loaded,
    devices: &Devices,
) -> std::io::Result<()> {
    let options = advertised::receive_all(routers);
    if options.is_empty() {
        return Ok(());
    }
    let state = State::lock()?;
    for option in options {
        let mut names = devices.iter();
        let Some((name, _)) = names.find(|(_, device)| device.index == option.index) else {
            continue;
        };
        let mut advertised = state.advertised(name);
        advertised.apply(option, now());
        state.set_advertised(name, &advertised)?;
    }
    lease_script::apply(loaded, devices, &state)
}

/// Sets up the interfaces that did not exist before.
fn set_up(config: &Config, before: &Devices, now: &Devices, report_error: &mut impl FnMut(String)) {
    for (name, interface) in configured(config, now) {
        if before.contains_key(name) {
            continue;
        }
        let device = &now[name];
        sysctl::set(name, device.index, interface, report_error);
        hooks::run(name, &interface.pre_up, report_error);
        for command in commands::of(name, device, interface) {
            commands::ip(&command).unwrap_or_else(&mut *report_error);
        }
        links::create_vlans(name, interface, report_error);
        // With DHCP, the lease script runs them.
        if !interface.asks_dhcp() {
            hooks::run(name, &interface.post_up, report_error);
        }
    }
}

/// The DHCP clients that must run. A client with another host name replaces the running one.
fn clients(config: &Config, devices: &Devices) -> Vec<Program> {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    configured(config, devices)
        .iter()
        .filter(|(_, interface)| interface.asks_dhcp())
        .map(|(interface, _)| client(interface, &name))
        .collect()
}

/// The interfaces that have settings. Bridges come first, because others become part of them.
fn configured<'a>(config: &'a Config, devices: &'a Devices) -> Vec<(&'a str, &'a Interface)> {
    let settings = |(name, device): (&'a String, &'a devices::Device)| {
        let interface = config.network.of(name, &device.address)?;
        Some((name.as_str(), interface))
    };
    let mut all: Vec<_> = devices.iter().filter_map(settings).collect();
    all.sort_by_key(|(_, interface)| interface.bridge != Some(config::Bridge::Is(true)));
    all
}

/// A DHCP client that sends the host name. It does not release its lease when it exits, so that a
/// client with another host name gets the same address.
fn client(interface: &str, name: &str) -> Program {
    let name = format!("hostname:{name}");
    let udhcpc = ["udhcpc", "-i", interface, "-f", "-S"];
    // It waits one second for an answer and retries after five seconds, without a limit.
    let timing = ["-T", "1", "-A", "5"];
    let script = ["-x", &name, "-s", LEASE_SCRIPT];
    let options = OPTIONS.iter().flat_map(|option| ["-O", option]);
    let options: Vec<_> = options.collect();
    let arguments = [&udhcpc[..], &timing, &script, &options].concat();
    Program::new("/usr/bin/env", &arguments)
}
