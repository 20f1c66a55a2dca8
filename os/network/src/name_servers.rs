//! Writes `/etc/resolv.conf`: the name servers of the configuration, or those of all networks in the order
//! of the interfaces' metrics.

use std::path::Path;

use config::{Config, Interface};

use super::devices::Devices;
use super::state::{State, now, overwrite};

const FILE: &str = "/etc/resolv.conf";

/// Writes the current name servers.
pub(crate) fn write(config: &Config, devices: &Devices, state: &State) -> Result<(), String> {
    let text = match config.dns.resolv_conf() {
        Some(text) => text,
        None => text(&config.dns.search, &by_interface(config, devices, state)),
    };
    overwrite(Path::new(FILE), &text).map_err(|error| format!("{FILE}: {error}"))
}

/// The DNS settings from the network of an interface.
#[derive(Default)]
struct Settings {
    servers: Vec<String>,
    domains: Vec<String>,
}

/// The interfaces with their settings, in the order of their metrics.
pub(crate) fn in_order<'a>(
    config: &'a Config,
    devices: &'a Devices,
) -> Vec<(&'a str, Option<&'a Interface>)> {
    let rank = |(name, device): (&'a String, &'a super::devices::Device)| {
        let interface = config.network.of(name, &device.address);
        let default = Interface::default();
        let metric = interface.unwrap_or(&default).metric(name, device.index);
        (metric, name.as_str(), interface)
    };
    let mut all: Vec<_> = devices.iter().map(rank).collect();
    all.sort_by_key(|(metric, name, _)| (*metric, *name));
    all.into_iter()
        .map(|(_, name, interface)| (name, interface))
        .collect()
}

fn by_interface(config: &Config, devices: &Devices, state: &State) -> Vec<Settings> {
    let now = now();
    in_order(config, devices)
        .into_iter()
        .filter(|(_, interface)| interface.is_none_or(|it| it.name_servers != Some(false)))
        .map(|(name, _)| settings(name, state, now))
        .collect()
}

fn settings(name: &str, state: &State, now: u64) -> Settings {
    let advertised = state.advertised(name);
    let mut settings = Settings::default();
    if let Some(lease) = state.lease(name) {
        settings
            .servers
            .extend(lease.name_servers.iter().map(ToString::to_string));
        settings.domains.extend(lease.search);
    }
    settings.servers.extend(advertised.servers(name, now));
    settings
        .domains
        .extend(advertised.domains(now).map(str::to_owned));
    settings
}

/// The text of the file. The domains of the configuration, `search`, override the other ones.
fn text(search: &[String], all: &[Settings]) -> String {
    let domains = all.iter().flat_map(|settings| &settings.domains);
    let domains = match search {
        [] => unique(domains),
        own => own.iter().map(String::as_str).collect(),
    };
    let mut text = String::new();
    if !domains.is_empty() {
        text += &format!("search {}\n", domains.join(" "));
    }
    for server in unique(all.iter().flat_map(|settings| &settings.servers)) {
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

    fn settings(servers: &[&str], domains: &[&str]) -> Settings {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        Settings {
            servers: owned(servers),
            domains: owned(domains),
        }
    }

    #[test]
    fn resolv_conf_lists_each_server_and_domain_once() {
        let all = [
            settings(&["10.0.2.3"], &["a.example"]),
            settings(&["10.0.4.9", "10.0.2.3"], &["b.example", "a.example"]),
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
    fn interfaces_are_ordered_by_metric() {
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
