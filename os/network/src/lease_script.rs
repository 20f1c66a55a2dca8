//! The program `dhcp-lease`, which udhcpc calls when its lease changes. It applies the lease together with
//! those of other interfaces.

use std::collections::BTreeMap;
use std::process::ExitCode;

use config::{Interface, Loaded};
use sys::report::Report;

use super::commands::{ip, words};
use super::devices::{self, Devices};
use super::lease::Lease;
use super::state::{State, now};
use super::{hooks, name_servers};

/// The program `dhcp-lease`: the first argument is the event; the lease is in environment variables.
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
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn change(
    event: &str,
    name: &str,
    variables: &BTreeMap<String, String>,
    report_error: &mut impl FnMut(String),
) -> std::io::Result<()> {
    let loaded = config::load_machine();
    let devices = devices::all().map_err(std::io::Error::other)?;
    let Some(device) = devices.get(name) else {
        return Ok(());
    };
    let default = Interface::default();
    let interface = loaded.config.network.of(name, &device.address);
    let interface = interface.unwrap_or(&default);
    let state = State::lock()?;
    let before = state.lease(name);
    match event {
        "deconfig" => {
            let up = format!("link set dev {name} up");
            ip(&words(&up)).unwrap_or_else(&mut *report_error);
            remove_expired(name, before.as_ref(), now(), &state, report_error)?;
        }
        "nak" => remove_expired(name, before.as_ref(), u64::MAX, &state, report_error)?,
        "bound" | "renew" => {
            let Some(lease) = Lease::read(variables, now()) else {
                return Ok(());
            };
            for command in lease.commands(before.as_ref(), name, device.index, interface) {
                ip(&command).unwrap_or_else(&mut *report_error);
            }
            state.set_lease(name, Some(&lease))?;
            apply(&loaded, &devices, &state)?;
            drop(state);
            if event == "bound" {
                hooks::run(name, &interface.post_up, report_error);
            }
            return Ok(());
        }
        _ => return Ok(()),
    }
    apply(&loaded, &devices, &state)
}

/// Removes the address of a lease that has expired. A client that is restarted sends `deconfig` before it
/// requests a lease: the lease of the earlier client is still valid then, and connections persist.
fn remove_expired(
    name: &str,
    lease: Option<&Lease>,
    now: u64,
    state: &State,
    report_error: &mut impl FnMut(String),
) -> std::io::Result<()> {
    if lease.is_some_and(|lease| lease.ends > now) {
        return Ok(());
    }
    // IPv6 addresses do not come from this client.
    let flush = format!("-4 addr flush dev {name}");
    ip(&words(&flush)).unwrap_or_else(report_error);
    state.set_lease(name, None)
}

/// Applies the name servers and the host name of all leases.
pub(crate) fn apply(loaded: &Loaded, devices: &Devices, state: &State) -> std::io::Result<()> {
    name_servers::write(&loaded.config, devices, state).map_err(std::io::Error::other)?;
    let order = name_servers::in_order(&loaded.config, devices).into_iter();
    let mut names = order.filter_map(|(name, _)| state.lease(name)?.hostname);
    let hostname = if loaded.sets_hostname() {
        None
    } else {
        names.find_map(|name| short_name(&name))
    };
    state.set_hostname(hostname.as_deref())
}

/// The first label of a host name, if it is valid.
fn short_name(name: &str) -> Option<String> {
    let first = name.split('.').next()?;
    let is_valid =
        !first.is_empty() && first.len() <= 63 && !first.contains('_') && first != "localhost";
    is_valid.then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_name_is_the_first_label() {
        assert_eq!(short_name("given.example").as_deref(), Some("given"));
        assert_eq!(short_name("given").as_deref(), Some("given"));
        for bad in ["localhost", "a_b", "", &"a".repeat(64)] {
            assert_eq!(short_name(bad), None, "{bad}");
        }
    }
}
