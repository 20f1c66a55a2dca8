//! The `ip` commands that configure an interface. Running them again changes nothing.

use std::process::{Command, Stdio};

use config::{Bridge, Interface};

use super::devices::Device;

/// Runs `ip`.
pub(crate) fn ip<Word: AsRef<str>>(words: &[Word]) -> Result<(), String> {
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    let output = Command::new("ip")
        .args(&words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let command = words.join(" ");
    match stderr.trim().lines().last() {
        Some(error) => Err(format!("`ip {command}`: {error}")),
        None => Err(format!("`ip {command}`: {}", output.status)),
    }
}

/// The commands for an interface, in order; the last ones require its addresses.
pub(crate) fn of(name: &str, device: &Device, interface: &Interface) -> Vec<Vec<String>> {
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
        // A bond rejects an interface that is up (`bond_enslave` in drivers/net/bonding/bond_main.c).
        add(format!("link set dev {name} down"));
        add(format!("link set dev {name} master {bond}"));
    }
    add(format!("link set dev {name} up"));
    if interface.address.0.iter().any(config::Address::is_ipv4) {
        // Removes the earlier IPv4 addresses; link-local addresses of the kernel stay.
        add(format!("-4 addr flush dev {name} scope global"));
    }
    for address in &interface.address.0 {
        // IPv6 addresses are not flushed, because some of them come from router advertisements.
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
    // With DHCP there is no address yet to reach a gateway from; the lease script adds the routes.
    if !interface.asks_dhcp() {
        all.extend(routes(name, interface, metric));
    }
    all
}

/// The commands for the static routes of an interface.
pub(crate) fn routes(name: &str, interface: &Interface, metric: u32) -> Vec<Vec<String>> {
    let command = |route: &config::Route| {
        let family = if route.to.is_ipv4() { "" } else { "-6 " };
        let via = route.via.map(|via| format!("via {via} "));
        words(&format!(
            "{family}route replace {} {}dev {name} metric {}",
            route.to,
            via.unwrap_or_default(),
            route.metric.unwrap_or(metric)
        ))
    };
    interface.routes.iter().map(command).collect()
}

/// Splits a command line at whitespace.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str, device: &Device) -> Vec<String> {
        let interface: Interface = serde_yaml::from_str(text).unwrap();
        let commands = of("eth1", device, &interface);
        commands.iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn addresses_are_set_before_the_routes_that_require_them() {
        let text = "{ address: [10.0.0.2/24, 'fd00::2/64'], gateway: [10.0.0.1, 'fd00::1'], mtu: 1400, \
                    routes: [{ to: 10.8.0.0/16, via: 10.0.0.9 }, { to: 'fd01::/64', metric: 5 }] }";
        assert_eq!(
            commands(text, &Device::default()),
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
    fn interface_joins_a_bond_once() {
        let mut device = Device::default();
        let enslaved = "link set dev eth1 master bond0";
        let text = "bond: bond0";
        assert_eq!(
            commands(text, &device),
            ["link set dev eth1 down", enslaved, "link set dev eth1 up"]
        );
        device.master = Some("bond0".into());
        assert_eq!(commands(text, &device), ["link set dev eth1 up"]);
        assert_eq!(
            commands("bridge: br0", &Device::default()),
            ["link set dev eth1 master br0", "link set dev eth1 up"]
        );
    }
}
