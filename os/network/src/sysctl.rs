//! What the kernel makes of IPv6 router advertisements on an interface.

use std::path::Path;

use config::Interface;

/// `/proc/sys/net` of the machine: that of a container cannot be written.
const FOLDER: &str = "/sysctl";

/// Sets it, before the interface is up.
pub fn set(name: &str, index: u32, interface: &Interface, tell: &mut impl FnMut(String)) {
    let folder = Path::new(FOLDER).join("ipv6/conf").join(name);
    if !folder.is_dir() {
        // A kernel without IPv6.
        return;
    }
    for (key, value) in settings(name, index, interface) {
        if let Err(error) = std::fs::write(folder.join(key), value.to_string()) {
            tell(format!("{name}: {key}: {error}"));
        }
    }
}

/// Documentation/networking/ip-sysctl.rst.
fn settings(name: &str, index: u32, interface: &Interface) -> [(&'static str, u32); 3] {
    // Also when packets are forwarded, as Docker sets it for networks with IPv6. What is part of another
    // interface has no address.
    let accepted = if interface.is_part() { 0 } else { 2 };
    let default_route = interface.default_route != Some(false);
    [
        ("accept_ra", accepted),
        ("accept_ra_defrtr", u32::from(default_route)),
        ("ra_defrtr_metric", interface.metric(name, index)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_routes_of_routers_rank_like_those_of_dhcp() {
        let settings = |text| {
            settings("eth1", 3, &serde_yaml::from_str(text).unwrap()).map(|(_, value)| value)
        };
        assert_eq!(settings("{}"), [2, 1, 101]);
        assert_eq!(settings("{ default_route: false, metric: 9 }"), [2, 0, 9]);
        assert_eq!(settings("{ bridge: br0 }")[0], 0);
    }
}
