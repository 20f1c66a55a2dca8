//! Waits for the network, up to a timeout, before the engine starts containers that need it: an engine
//! configures a container once, when it starts. If the network appears later, the supervisor repairs these
//! containers.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use config::Config;
use nix::ifaddrs::getifaddrs;
use serde_json::Value;

/// The folder with the engine's containers.
const CONTAINERS: &str = "/var/lib/docker/containers";
const NAME_SERVERS: &str = "/etc/resolv.conf";
const INTERFACES: &str = "/sys/class/net";

/// The timeout. A DHCP server answers in two seconds, but takes longer if it boots at the same time after a
/// power failure.
const TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What the containers need that the engine starts by itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Need {
    name_servers: bool,
    /// The addresses at which they publish ports.
    addresses: Vec<IpAddr>,
}

/// Waits until the machine has what these containers need.
///
/// # Errors
/// The timeout expires; the error names what is missing.
pub(crate) fn wait(config: &Config) -> Result<(), String> {
    let need = need(CONTAINERS.as_ref(), uses_dhcp(config));
    let until = Instant::now() + TIMEOUT;
    loop {
        let Some(missing) = missing(&need, &addresses(), &name_servers()) else {
            return Ok(());
        };
        if Instant::now() > until {
            return Err(format!(
                "timed out after {} s waiting for {missing}; containers start without it, and get it later",
                TIMEOUT.as_secs()
            ));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Whether name servers come from DHCP.
fn uses_dhcp(config: &Config) -> bool {
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

fn need(containers: &Path, uses_dhcp: bool) -> Need {
    let mut need = Need::default();
    for entry in containers.read_dir().into_iter().flatten().flatten() {
        // If the file cannot be read, the engine cannot start the container either.
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
        need.name_servers |= uses_dhcp;
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
        return Some(format!("the address {address}"));
    }
    let named = name_servers
        .lines()
        .any(|line| line.starts_with("nameserver "));
    (need.name_servers && !named).then(|| "a name server".into())
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
    fn need_includes_only_containers_that_the_engine_starts() {
        let manual = r#"{"RestartPolicy":{"Name":"no"},"NetworkMode":"default"}"#;
        let alone = r#"{"RestartPolicy":{"Name":"always"},"NetworkMode":"none"}"#;
        assert_eq!(with(&[manual, alone, "broken"]), Need::default());
        let plain = r#"{"RestartPolicy":{"Name":"unless-stopped"},"NetworkMode":"default"}"#;
        assert!(with(&[manual, plain]).name_servers);
        assert_eq!(need(Path::new("/nowhere"), true), Need::default());
    }

    #[test]
    fn missing_names_the_first_need_that_is_not_met() {
        let bound = r#"{"RestartPolicy":{"Name":"always"},"NetworkMode":"lan","PortBindings":
            {"80/tcp":[{"HostIp":"10.0.4.15","HostPort":"8080"},{"HostIp":"","HostPort":"1"},
                       {"HostIp":"0.0.0.0","HostPort":"2"},{"HostIp":"127.0.0.1","HostPort":"3"}]}}"#;
        let need = with(&[bound]);
        let address: IpAddr = "10.0.4.15".parse().unwrap();
        assert_eq!(need.addresses, [address]);
        let server = "nameserver 10.0.4.9\n";
        assert_eq!(
            missing(&need, &[], server).as_deref(),
            Some("the address 10.0.4.15")
        );
        assert_eq!(
            missing(&need, &[address], "search a\n").as_deref(),
            Some("a name server")
        );
        assert_eq!(missing(&need, &[address], server), None);
    }
}
