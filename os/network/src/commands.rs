//! What `ip` is told to make an interface what the configuration says. Said once more, it changes nothing.

use config::{Bridge, Interface, Network};

use super::devices::Devices;

/// The bridges that are not there yet.
pub fn missing_bridges<'a>(network: &'a Network, there: &Devices) -> Vec<&'a str> {
    let named = network.named();
    let bridges = named.filter(|(_, interface)| interface.bridge == Some(Bridge::Is(true)));
    let missing = bridges.filter(|(name, _)| !there.contains_key(*name));
    missing.map(|(name, _)| name).collect()
}

/// The commands, in order.
pub fn of(name: &str, interface: &Interface) -> Vec<Vec<String>> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    let mut all = Vec::new();
    if let Some(mtu) = interface.mtu {
        all.push(words(format!("link set dev {name} mtu {mtu}")));
    }
    if let Some(Bridge::PartOf(bridge)) = &interface.bridge {
        all.push(words(format!("link set dev {name} master {bridge}")));
    }
    all.push(words(format!("link set dev {name} up")));
    if !interface.address.is_empty() {
        // Those that it had before are no longer wanted; what the kernel gave itself stays.
        all.push(words(format!("addr flush dev {name} scope global")));
    }
    for address in &interface.address.0 {
        all.push(words(format!("addr add {address} dev {name}")));
    }
    if let Some(gateway) = interface.gateway {
        all.push(words(format!(
            "route replace default via {gateway} dev {name}"
        )));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        config::from_cmdline(
            "rancher.network.interfaces.eth0.address=[10.0.0.2/24,fd00::2/64] \
             rancher.network.interfaces.eth0.gateway=10.0.0.1 \
             rancher.network.interfaces.eth0.mtu=1400 \
             rancher.network.interfaces.br0.bridge \
             rancher.network.interfaces.br1.bridge \
             rancher.network.interfaces.eth1.bridge=br0",
        )
        .config
        .network
    }

    fn said(name: &str) -> Vec<String> {
        let network = network();
        let commands = of(name, &network.interfaces[name]);
        commands.iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn an_address_comes_before_the_way_that_needs_it() {
        assert_eq!(
            said("eth0"),
            [
                "link set dev eth0 mtu 1400",
                "link set dev eth0 up",
                "addr flush dev eth0 scope global",
                "addr add 10.0.0.2/24 dev eth0",
                "addr add fd00::2/64 dev eth0",
                "route replace default via 10.0.0.1 dev eth0",
            ]
        );
    }

    #[test]
    fn a_bridge_is_made_once_and_others_become_part_of_it() {
        let there = Devices::from([("br1".into(), String::new())]);
        assert_eq!(missing_bridges(&network(), &there), ["br0"]);
        assert_eq!(said("br0"), ["link set dev br0 up"]);
        assert_eq!(
            said("eth1"),
            ["link set dev eth1 master br0", "link set dev eth1 up"]
        );
    }
}
