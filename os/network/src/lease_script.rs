//! What udhcpc calls when its lease changes: makes the lease hold, beside those of other interfaces.

use std::collections::BTreeMap;
use std::process::ExitCode;

use config::{Interface, Loaded};
use sys::report::Report;

use super::commands::words;
use super::devices::{self, Devices};
use super::lease::Lease;
use super::state::{State, now};
use super::{hooks, name_servers, run};

/// The program `dhcp-lease`: the first argument is what happened, the rest is in the environment.
pub fn main() -> ExitCode {
    let event = std::env::args().nth(1).unwrap_or_default();
    let variables: BTreeMap<_, _> = std::env::vars().collect();
    let mut failed = Vec::new();
    if let Some(name) = variables.get("interface")
        && let Err(error) = change(&event, name, &variables, &mut |error| failed.push(error))
    {
        failed.push(error.to_string());
    }
    for error in &failed {
        let line = format!("rancher: network: {error}");
        eprintln!("{line}");
        Report::new().print(&line);
    }
    match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn change(
    event: &str,
    name: &str,
    variables: &BTreeMap<String, String>,
    tell: &mut impl FnMut(String),
) -> std::io::Result<()> {
    let loaded = config::load_machine();
    let devices = devices::all().map_err(std::io::Error::other)?;
    let Some(device) = devices.get(name) else {
        return Ok(());
    };
    let usual = Interface::default();
    let interface = loaded.config.network.of(name, &device.address);
    let interface = interface.unwrap_or(&usual);
    let state = State::lock()?;
    let before = state.lease(name);
    match event {
        "deconfig" => {
            let up = format!("link set dev {name} up");
            run(&words(&up)).unwrap_or_else(&mut *tell);
            give_up(name, before.as_ref(), now(), &state, tell)?;
        }
        "nak" => give_up(name, before.as_ref(), u64::MAX, &state, tell)?,
        "bound" | "renew" => {
            let Some(lease) = Lease::read(variables, now()) else {
                return Ok(());
            };
            for command in lease.commands(before.as_ref(), name, device.index, interface) {
                run(&command).unwrap_or_else(&mut *tell);
            }
            state.set_lease(name, Some(&lease))?;
            settle(&loaded, &devices, &state)?;
            drop(state);
            if event == "bound" {
                hooks::run(name, &interface.post_up, tell);
            }
            return Ok(());
        }
        _ => return Ok(()),
    }
    settle(&loaded, &devices, &state)
}

/// Takes the address of a lease away that is over. A client that is started again says `deconfig` before
/// it has asked: what its predecessor was given holds still, and connections go on.
fn give_up(
    name: &str,
    lease: Option<&Lease>,
    now: u64,
    state: &State,
    tell: &mut impl FnMut(String),
) -> std::io::Result<()> {
    if lease.is_some_and(|lease| lease.ends > now) {
        return Ok(());
    }
    // Addresses of IPv6 are not DHCP's.
    let flush = format!("-4 addr flush dev {name}");
    run(&words(&flush)).unwrap_or_else(tell);
    state.set_lease(name, None)
}

/// Makes name servers and the machine's name what all leases say.
pub fn settle(loaded: &Loaded, devices: &Devices, state: &State) -> std::io::Result<()> {
    name_servers::write(&loaded.config, devices, state).map_err(std::io::Error::other)?;
    let order = name_servers::in_order(&loaded.config, devices).into_iter();
    let mut names = order.filter_map(|(name, _)| state.lease(name)?.hostname);
    let given = match loaded.names_machine() {
        true => None,
        false => names.find_map(|name| machine_name(&name)),
    };
    state.set_hostname(given.as_deref())
}

/// The part of a name that is the machine's own.
fn machine_name(name: &str) -> Option<String> {
    let first = name.split('.').next()?;
    let fits =
        !first.is_empty() && first.len() <= 63 && !first.contains('_') && first != "localhost";
    fits.then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_called_by_the_first_label() {
        assert_eq!(machine_name("given.example").as_deref(), Some("given"));
        assert_eq!(machine_name("given").as_deref(), Some("given"));
        for bad in ["localhost", "a_b", "", &"a".repeat(64)] {
            assert_eq!(machine_name(bad), None, "{bad}");
        }
    }
}
