//! A bounded wait for networks before the user's engine starts containers that need one: what they were
//! given at their start they have for good. What comes later the supervisor mends.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use config::Config;
use nix::ifaddrs::getifaddrs;
use serde_json::Value;

/// What the engine knows of its containers.
const CONTAINERS: &str = "/var/lib/docker/containers";
const NAME_SERVERS: &str = "/etc/resolv.conf";
const INTERFACES: &str = "/sys/class/net";

/// A DHCP server answers in two seconds; one that starts with the site, after a power failure, later.
const LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);

/// What containers need that the engine will start by itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Need {
    name_servers: bool,
    /// At which they publish ports.
    addresses: Vec<IpAddr>,
}

/// Waits until the machine has what such containers need.
///
/// # Errors
/// What is missing still, in words for people.
pub fn wait(config: &Config) -> Result<(), String> {
    let need = need(CONTAINERS.as_ref(), asks_dhcp(config));
    let until = Instant::now() + LIMIT;
    loop {
        let Some(missing) = missing(&need, &addresses(), &name_servers()) else {
            return Ok(());
        };
        if Instant::now() > until {
            return Err(format!(
                "after {} s there is no {missing}; containers start without, and get it when it comes",
                LIMIT.as_secs()
            ));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether somebody is asked for name servers at all.
fn asks_dhcp(config: &Config) -> bool {
    if !config.dns.nameservers.is_empty() {
        return false;
    }
    let entries = Path::new(INTERFACES)
        .read_dir()
        .into_iter()
        .flatten()
        .flatten();
    let mut names = entries.filter_map(|entry| {
        let address = std::fs::read_to_string(entry.path().join("address")).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), address))
    });
    names.any(|(name, address)| {
        let interface = config.network.of(&name, address.trim());
        interface.is_some_and(config::Interface::asks_dhcp)
    })
}

fn need(containers: &Path, asks: bool) -> Need {
    let mut need = Need::default();
    for entry in containers.read_dir().into_iter().flatten().flatten() {
        // One that cannot be read the engine cannot start either.
        let text =
            std::fs::read_to_string(entry.path().join("hostconfig.json")).unwrap_or_default();
        let Ok(host) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        let policy = host["RestartPolicy"]["Name"].as_str().unwrap_or_default();
        let starts = ["always", "unless-stopped", "on-failure"].contains(&policy);
        if !starts || host["NetworkMode"] == "none" {
            continue;
        }
        need.name_servers |= asks;
        let ports = host["PortBindings"].as_object().into_iter().flatten();
        let bound = ports.flat_map(|(_, bound)| bound.as_array().into_iter().flatten());
        let addresses = bound.filter_map(|one| one["HostIp"].as_str()?.parse::<IpAddr>().ok());
        let own = addresses.filter(|one| !one.is_unspecified() && !one.is_loopback());
        need.addresses.extend(own);
    }
    need
}

fn missing(need: &Need, addresses: &[IpAddr], name_servers: &str) -> Option<String> {
    let mut wanted = need.addresses.iter();
    if let Some(address) = wanted.find(|one| !addresses.contains(one)) {
        return Some(format!("address {address}"));
    }
    let named = name_servers
        .lines()
        .any(|line| line.starts_with("nameserver "));
    (need.name_servers && !named).then(|| "name server".into())
}

fn name_servers() -> String {
    std::fs::read_to_string(NAME_SERVERS).unwrap_or_default()
}

fn addresses() -> Vec<IpAddr> {
    let all = getifaddrs().into_iter().flatten();
    let address = all.filter_map(|one| {
        let address = one.address?;
        let four = address.as_sockaddr_in().map(|it| IpAddr::from(it.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::from(it.ip())))
    });
    address.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(all: &[&str]) -> Need {
        let folder = tempfile::tempdir().unwrap();
        for (number, text) in all.iter().enumerate() {
            let own = folder.path().join(number.to_string());
            std::fs::create_dir(&own).unwrap();
            std::fs::write(own.join("hostconfig.json"), text).unwrap();
        }
        need(folder.path(), true)
    }

    #[test]
    fn only_containers_that_start_by_themselves_need_a_network() {
        let manual = r#"{"RestartPolicy":{"Name":"no"},"NetworkMode":"default"}"#;
        let alone = r#"{"RestartPolicy":{"Name":"always"},"NetworkMode":"none"}"#;
        assert_eq!(with(&[manual, alone, "broken"]), Need::default());
        let plain = r#"{"RestartPolicy":{"Name":"unless-stopped"},"NetworkMode":"default"}"#;
        assert!(with(&[manual, plain]).name_servers);
        assert_eq!(need(Path::new("/nowhere"), true), Need::default());
    }

    #[test]
    fn what_is_missing_is_named() {
        let bound = r#"{"RestartPolicy":{"Name":"always"},"NetworkMode":"lan","PortBindings":
            {"80/tcp":[{"HostIp":"10.0.4.15","HostPort":"8080"},{"HostIp":"","HostPort":"1"},
                       {"HostIp":"0.0.0.0","HostPort":"2"},{"HostIp":"127.0.0.1","HostPort":"3"}]}}"#;
        let need = with(&[bound]);
        let address: IpAddr = "10.0.4.15".parse().unwrap();
        assert_eq!(need.addresses, [address]);
        let server = "nameserver 10.0.4.9\n";
        assert_eq!(
            missing(&need, &[], server).as_deref(),
            Some("address 10.0.4.15")
        );
        assert_eq!(
            missing(&need, &[address], "search a\n").as_deref(),
            Some("name server")
        );
        assert_eq!(missing(&need, &[address], server), None);
    }
}
