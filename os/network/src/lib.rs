//! Makes the machine's network interfaces what the configuration says, and keeps DHCP clients running
//! for those that get their address from somebody else.
//!
//! Whatever cannot be done for an interface is told, and left out; nobody waits for a network. One that
//! comes later is set up then, and a name that comes later is told to the DHCP servers then. DHCP clients
//! call [`lease_script`]; it and this program share what they know in its module `state`.

mod advertised;
mod commands;
mod devices;
mod hooks;
mod lease;
mod lease_script;
mod links;
mod name_servers;
mod state;
mod sysctl;

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode, Stdio};

use config::{Config, Interface, Loaded};
use devices::Devices;
use nix::poll::PollFlags;
use state::{State, now};
use sys::netlink::Netlink;
use sys::report::Report;
use sys::respawn::{Program, keep_running_with};
use sys::uevents::Uevents;

pub use lease_script::main as lease_script;

/// What the DHCP client calls when a lease changes.
const LEASE_SCRIPT: &str = "/usr/lib/rancher/dhcp-lease";

/// What a lease may say beside what the client asks for by itself: domains, routes, the longest packet.
const OPTIONS: [&str; 5] = ["search", "staticroutes", "msstaticroutes", "routes", "mtu"];

/// The machine's name; poll(2) tells of another one as of something urgent (`fs/proc/proc_sysctl.c`).
const NAME: &str = "/proc/sys/kernel/hostname";

/// Runs until it is told to end.
pub fn main() -> ExitCode {
    let loaded = config::load_machine();
    let config = &loaded.config;
    let mut report = Report::new();
    let mut tell = |error: String| {
        eprintln!("network: {error}");
        report.print(&format!("rancher: network: {error}"));
    };
    // Before the first look, so that none is missed.
    let uevents = Uevents::open().map_err(|error| tell(format!("interfaces that come: {error}")));
    let names = File::open(NAME).map_err(|error| tell(format!("{NAME}: {error}")));
    let routers = advertised::open().map_err(|error| tell(format!("routers of IPv6: {error}")));
    let (uevents, names, routers) = (uevents.ok(), names.ok(), routers.ok());
    let changes = [
        uevents.as_ref().map(|it| (it.as_fd(), PollFlags::POLLIN)),
        names.as_ref().map(|it| (it.as_fd(), PollFlags::POLLPRI)),
        routers.as_ref().map(|it| (it.as_fd(), PollFlags::POLLIN)),
    ];
    let changes: Vec<_> = changes.into_iter().flatten().collect();
    let mut there = match begin(&loaded, &mut tell) {
        Ok(there) => there,
        Err(error) => {
            tell(error);
            return ExitCode::FAILURE;
        }
    };
    set_up(config, &Devices::new(), &there, &mut tell);
    let kept = keep_running_with(&changes, || {
        let changed = uevents.as_ref().map(Uevents::interface_changed);
        if changed == Some(Ok(true)) {
            match devices::all() {
                Ok(now) => {
                    set_up(config, &there, &now, &mut tell);
                    there = now;
                }
                Err(error) => tell(error),
            }
        }
        if let Some(routers) = &routers
            && let Err(error) = hear(routers, &loaded, &there)
        {
            tell(format!("{}: {error}", state::FOLDER));
        }
        clients(config, &there)
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
fn begin(loaded: &Loaded, tell: &mut impl FnMut(String)) -> Result<Devices, String> {
    run(&["link", "set", "dev", "lo", "up"]).unwrap_or_else(&mut *tell);
    let network = &loaded.config.network;
    links::make(network, &devices::all()?, tell);
    let devices = devices::all()?;
    let vlans = network
        .interfaces
        .values()
        .flat_map(|interface| &interface.vlans.0);
    let vlans: Vec<_> = vlans.filter_map(|vlan| vlan.name.as_deref()).collect();
    for (name, _) in network.named() {
        // A VLAN comes when the interface below it is set up.
        if !devices.contains_key(name) && !name.contains('.') && !vlans.contains(&name) {
            tell(format!("there is no interface {name}"));
        }
    }
    if let Err(error) = begin_state(loaded, &devices) {
        tell(format!("{}: {error}", state::FOLDER));
    }
    Ok(devices)
}

/// Forgets leases that nobody asks for any more, and makes name servers what is known.
fn begin_state(loaded: &Loaded, devices: &Devices) -> std::io::Result<()> {
    let state = State::lock()?;
    for name in state.interfaces() {
        let device = devices.get(&name);
        let interface = device.and_then(|it| loaded.config.network.of(&name, &it.address));
        if !interface.is_some_and(Interface::asks_dhcp) {
            state.forget(&name);
        }
    }
    lease_script::settle(loaded, devices, &state)
}

/// Takes what routers advertised so far.
fn hear(routers: &Netlink, loaded: &Loaded, devices: &Devices) -> std::io::Result<()> {
    let heard = advertised::heard(routers);
    if heard.is_empty() {
        return Ok(());
    }
    let state = State::lock()?;
    for one in heard {
        let mut names = devices.iter();
        let Some((name, _)) = names.find(|(_, device)| device.index == one.index) else {
            continue;
        };
        let mut advertised = state.advertised(name);
        advertised.hear(one, now());
        state.set_advertised(name, &advertised)?;
    }
    lease_script::settle(loaded, devices, &state)
}

/// Sets those interfaces up that were not there before.
fn set_up(config: &Config, before: &Devices, now: &Devices, tell: &mut impl FnMut(String)) {
    for (name, interface) in wanted(config, now) {
        if before.contains_key(name) {
            continue;
        }
        let device = &now[name];
        sysctl::set(name, device.index, interface, tell);
        hooks::run(name, &interface.pre_up, tell);
        for command in commands::of(name, device, interface) {
            run(&command).unwrap_or_else(&mut *tell);
        }
        links::make_vlans(name, interface, tell);
        // A lease runs them otherwise.
        if !interface.asks_dhcp() {
            hooks::run(name, &interface.post_up, tell);
        }
    }
}

/// The DHCP clients that are to run: others, where the machine has another name now.
fn clients(config: &Config, devices: &Devices) -> Vec<Program> {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    let wanted = wanted(config, devices);
    let asking = wanted.iter().filter(|(_, interface)| interface.asks_dhcp());
    let client = |(interface, _): &(&str, _)| client(interface, &name);
    asking.map(client).collect()
}

/// The interfaces of which something is said, bridges first: others become part of them.
fn wanted<'a>(config: &'a Config, devices: &'a Devices) -> Vec<(&'a str, &'a Interface)> {
    let settings = |(name, device): (&'a String, &'a devices::Device)| {
        let interface = config.network.of(name, &device.address)?;
        Some((name.as_str(), interface))
    };
    let mut all: Vec<_> = devices.iter().filter_map(settings).collect();
    all.sort_by_key(|(_, interface)| interface.bridge != Some(config::Bridge::Is(true)));
    all
}

/// Asks for an address and keeps it leased; the machine's name goes with the question. The lease is not
/// given back at the end: the one that comes after it, with another name, is to have the same.
fn client(interface: &str, name: &str) -> Program {
    let name = format!("hostname:{name}");
    let udhcpc = ["udhcpc", "-i", interface, "-f", "-S"];
    // A second for an answer and five until it asks anew, as long as it takes.
    let patience = ["-T", "1", "-A", "5"];
    let told = ["-x", &name, "-s", LEASE_SCRIPT];
    let options = OPTIONS.iter().flat_map(|option| ["-O", option]);
    let options: Vec<_> = options.collect();
    let arguments = [&udhcpc[..], &patience, &told, &options].concat();
    Program::new("/usr/bin/env", &arguments)
}

/// Runs `ip`.
fn run<Word: AsRef<str>>(words: &[Word]) -> Result<(), String> {
    let mut command = Command::new("ip");
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    let output = command.args(&words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().last().unwrap_or("it does not say why");
    Err(format!("`ip {}`: {said}", words.join(" ")))
}
