//! The default network of an engine that found running containers when it started.
//!
//! Such an engine keeps the network of the engine before it, and ignores other values of `--bip`, `--mtu` and
//! `--ip-masq` (moby 26.1, `Daemon.initNetworkController` in `daemon/daemon_unix.go`). Flannel may have leased
//! another subnet while no engine ran.

use std::ffi::OsString;

use bollard::Docker;
use bollard::models::NetworkInspect;
use bollard::query_parameters::InspectNetworkOptions;

use crate::flannel::Subnet;

/// The engine's default network.
const DEFAULT_NETWORK: &str = "bridge";

/// The subnet that an engine uses which was started for the subnet `asked` with the arguments `words`; `None` for
/// one of its own.
pub(crate) async fn used_subnet(
    docker: &Docker,
    words: &[OsString],
    asked: &Subnet,
) -> Option<Subnet> {
    let network = docker.inspect_network(DEFAULT_NETWORK, None::<InspectNetworkOptions>);
    match network.await {
        Ok(network) => used(words, asked, &network),
        // The user's `--bridge=none`.
        Err(_) => Some(asked.clone()),
    }
}

/// `asked`, unless the engine ignored one of the arguments for it. Arguments that the user overrides are not
/// among `words`.
fn used(words: &[OsString], asked: &Subnet, network: &NetworkInspect) -> Option<Subnet> {
    let actual = Subnet::of_network(network);
    let in_effect = actual.as_ref().map(Subnet::arguments).unwrap_or_default();
    let is_ignored =
        |argument: &String| words.contains(&argument.into()) && !in_effect.contains(argument);
    if asked.arguments().iter().any(is_ignored) {
        actual
    } else {
        Some(asked.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(third: u8) -> Subnet {
        let text =
            format!("FLANNEL_SUBNET=10.244.{third}.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n");
        Subnet::parse(&text).unwrap()
    }

    fn network(address: &str, mtu: u16) -> NetworkInspect {
        let (gateway, length) = address.split_once('/').unwrap();
        let json = serde_json::json!({
            "Name": "bridge",
            "IPAM": { "Config": [{ "Subnet": format!("10.244.0.0/{length}"), "Gateway": gateway }] },
            "Options": {
                "com.docker.network.bridge.enable_ip_masquerade": "false",
                "com.docker.network.driver.mtu": mtu.to_string(),
            },
        });
        serde_json::from_value(json).unwrap()
    }

    fn words(all: &[&str]) -> Vec<OsString> {
        all.iter().map(OsString::from).collect()
    }

    #[test]
    fn used_is_the_subnet_of_the_network_when_the_engine_ignored_an_argument() {
        let words = words(&["--bip=10.244.7.1/24", "--mtu=1450", "--ip-masq=false"]);
        let of = |address, mtu| used(&words, &subnet(7), &network(address, mtu));
        assert_eq!(of("10.244.7.1/24", 1450), Some(subnet(7)));
        assert_eq!(of("10.244.3.1/24", 1450), Some(subnet(3)));
        assert_ne!(of("10.244.7.1/16", 1450), Some(subnet(7)));
        assert_ne!(of("10.244.7.1/24", 1500), Some(subnet(7)));
        assert_eq!(
            used(&words, &subnet(7), &NetworkInspect::default()),
            None,
            "the engine's own network may have no gateway"
        );
    }

    #[test]
    fn used_is_the_subnet_of_flannel_when_the_user_overrides_it() {
        let words = words(&["--bip=172.31.0.1/16", "--mtu=1450", "--ip-masq=false"]);
        let used = used(&words, &subnet(7), &network("172.31.0.1/16", 1450));
        assert_eq!(used, Some(subnet(7)));
    }
}
