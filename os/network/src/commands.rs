//! What `ip` is told to make an interface what the configuration says. Said once more, it changes nothing.

use config::{Bridge, Interface};

use super::devices::Device;

/// The commands for an interface, in order; the last ones need its addresses.
pub fn of(name: &str, device: &Device, interface: &Interface) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut add = |text: String| all.push(words(&text));
    if let Some(mtu) = interface.mtu {
        add(format!("link set dev {name} mtu {mtu}"));
    }
    if let Some(Bridge::PartOf(bridge)) = &interface.bridge {
        add(format!("link set dev {name} master {bridge}"));
    }
    if let Some(bond) = &interface.bond
        && device.master.as_ref() != Some(bond)
    {
        // A bond takes no interface that is up (`bond_enslave` in drivers/net/bonding/bond_main.c).
        add(format!("link set dev {name} down"));
        add(format!("link set dev {name} master {bond}"));
    }
    add(format!("link set dev {name} up"));
    if interface.address.0.iter().any(config::Address::is_ipv4) {
        // Those that it had before are no longer wanted; what the kernel gave itself stays.
        add(format!("-4 addr flush dev {name} scope global"));
    }
    for address in &interface.address.0 {
        // What it has it keeps: IPv6 addresses are not flushed, as routers gave some of them.
        let verb = if address.is_ipv4() { "add" } else { "replace" };
        add(format!("addr {verb} {address} dev {name}"));
    }
    let metric = interface.metric(name, device.index);
    for gateway in &interface.gateway.0 {
        let family = if gateway.is_ipv4() { "" } else { "-6 " };
        add(format!(
            "{family}route replace default via {gateway} dev {name} metric {metric}"
        ));
    }
    // Where DHCP is asked there is no address to reach the router from yet: a lease sets them then.
    if !interface.asks_dhcp() {
        all.extend(routes(name, interface, metric));
    }
    all
}

/// The commands for the static routes of an interface.
pub fn routes(name: &str, interface: &Interface, metric: u32) -> Vec<Vec<String>> {
    let route = |route: &config::Route| {
        let family = if route.to.is_ipv4() { "" } else { "-6 " };
        let via = route.via.map(|via| format!("via {via} "));
        words(&format!(
            "{family}route replace {} {}dev {name} metric {}",
            route.to,
            via.unwrap_or_default(),
            route.metric.unwrap_or(metric)
        ))
    };
    interface.routes.iter().map(route).collect()
}

pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, device: &Device) -> Vec<String> {
        let interface: Interface = serde_yaml::from_str(text).unwrap();
        let commands = of("eth1", device, &interface);
        commands.iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn an_address_comes_before_the_way_that_needs_it() {
        let text = "{ address: [10.0.0.2/24, 'fd00::2/64'], gateway: [10.0.0.1, 'fd00::1'], mtu: 1400, \
                    routes: [{ to: 10.8.0.0/16, via: 10.0.0.9 }, { to: 'fd01::/64', metric: 5 }] }";
        assert_eq!(
            said(text, &Device::default()),
            [
                "link set dev eth1 mtu 1400",
                "link set dev eth1 up",
                "-4 addr flush dev eth1 scope global",
                "addr add 10.0.0.2/24 dev eth1",
                "addr replace fd00::2/64 dev eth1",
                "route replace default via 10.0.0.1 dev eth1 metric 101",
                "-6 route replace default via fd00::1 dev eth1 metric 101",
                "route replace 10.8.0.0/16 via 10.0.0.9 dev eth1 metric 101",
                "-6 route replace fd01::/64 dev eth1 metric 5",
            ]
        );
    }

    #[test]
    fn an_interface_becomes_part_of_a_bond_once() {
        let mut device = Device::default();
        let enslaved = "link set dev eth1 master bond0";
        let text = "bond: bond0";
        assert_eq!(
            said(text, &device),
            ["link set dev eth1 down", enslaved, "link set dev eth1 up"]
        );
        device.master = Some("bond0".into());
        assert_eq!(said(text, &device), ["link set dev eth1 up"]);
        assert_eq!(
            said("bridge: br0", &Device::default()),
            ["link set dev eth1 master br0", "link set dev eth1 up"]
        );
    }
}
