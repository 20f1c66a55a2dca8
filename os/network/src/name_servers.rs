//! `/etc/resolv.conf`: the name servers of the configuration, or those that all networks name, those of
//! the interface that ranks first before the others.

use std::path::Path;

use config::{Config, Interface};

use super::devices::Devices;
use super::state::{State, now, overwrite};

const FILE: &str = "/etc/resolv.conf";

/// Writes what holds now.
pub fn write(config: &Config, devices: &Devices, state: &State) -> Result<(), String> {
    let text = match config.dns.resolv_conf() {
        Some(text) => text,
        None => text(&config.dns.search, &known(config, devices, state)),
    };
    overwrite(Path::new(FILE), &text).map_err(|error| format!("{FILE}: {error}"))
}

/// What the networks of an interface name.
#[derive(Default)]
struct Named {
    servers: Vec<String>,
    domains: Vec<String>,
}

/// The interfaces that ask, the first first.
pub fn in_order<'a>(
    config: &'a Config,
    devices: &'a Devices,
) -> Vec<(&'a str, Option<&'a Interface>)> {
    let rank = |(name, device): (&'a String, &'a super::devices::Device)| {
        let interface = config.network.of(name, &device.address);
        let usual = Interface::default();
        let metric = interface.unwrap_or(&usual).metric(name, device.index);
        (metric, name.as_str(), interface)
    };
    let mut all: Vec<_> = devices.iter().map(rank).collect();
    all.sort_by_key(|(metric, name, _)| (*metric, *name));
    all.into_iter()
        .map(|(_, name, interface)| (name, interface))
        .collect()
}

fn known(config: &Config, devices: &Devices, state: &State) -> Vec<Named> {
    let now = now();
    let used = |interface: &Option<&Interface>| {
        interface.is_none_or(|interface| interface.name_servers != Some(false))
    };
    let all = in_order(config, devices).into_iter();
    let used = all.filter(|(_, interface)| used(interface));
    used.map(|(name, _)| {
        let advertised = state.advertised(name);
        let mut named = Named::default();
        if let Some(lease) = state.lease(name) {
            named
                .servers
                .extend(lease.name_servers.iter().map(ToString::to_string));
            named.domains.extend(lease.search);
        }
        named.servers.extend(advertised.servers(name, now));
        named
            .domains
            .extend(advertised.domains(now).map(str::to_owned));
        named
    })
    .collect()
}

/// `search` are the configuration's domains, in the place of the others.
fn text(search: &[String], all: &[Named]) -> String {
    let domains = all.iter().flat_map(|named| &named.domains);
    let domains = match search {
        [] => unique(domains),
        own => own.iter().map(String::as_str).collect(),
    };
    let mut text = String::new();
    if !domains.is_empty() {
        text += &format!("search {}\n", domains.join(" "));
    }
    for server in unique(all.iter().flat_map(|named| &named.servers)) {
        text += &format!("nameserver {server}\n");
    }
    text
}

fn unique<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one.as_str()) {
            once.push(one.as_str());
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Device;

    fn named(servers: &[&str], domains: &[&str]) -> Named {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        Named {
            servers: owned(servers),
            domains: owned(domains),
        }
    }

    #[test]
    fn servers_and_domains_of_all_networks_are_named_once() {
        let all = [
            named(&["10.0.2.3"], &["a.example"]),
            named(&["10.0.4.9", "10.0.2.3"], &["b.example", "a.example"]),
        ];
        assert_eq!(
            text(&[], &all),
            "search a.example b.example\nnameserver 10.0.2.3\nnameserver 10.0.4.9\n"
        );
        assert_eq!(
            text(&["own".into()], &all[..1]),
            "search own\nnameserver 10.0.2.3\n"
        );
        assert_eq!(text(&[], &[]), "");
    }

    #[test]
    fn the_first_card_comes_first_unless_another_rank_is_configured() {
        let device = |index| Device {
            index,
            ..Device::default()
        };
        let devices = [("br0", 2), ("eth0", 5), ("eth10", 3), ("eth2", 4)];
        let devices = devices.map(|(name, index)| (name.to_owned(), device(index)));
        let order = |cmdline: &str| {
            let config = config::from_cmdline(cmdline).config;
            let devices = devices.clone().into();
            let all = in_order(&config, &devices);
            all.iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(order(""), "eth0 eth2 eth10 br0");
        assert_eq!(
            order("rancher.network.interfaces.eth2.metric=1"),
            "eth2 eth0 eth10 br0"
        );
    }
}
