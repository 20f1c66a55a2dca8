//! Kernel settings for IPv6 router advertisements on an interface.

use std::path::Path;

use config::Interface;

/// The machine's `/proc/sys/net`; the one of a container is read-only.
const FOLDER: &str = "/sysctl";

/// Applies the settings. This must happen before the interface is up.
pub(crate) fn set(
    name: &str,
    index: u32,
    interface: &Interface,
    report_error: &mut impl FnMut(String),
) {
    let folder = Path::new(FOLDER).join("ipv6/conf").join(name);
    if !folder.is_dir() {
        // The kernel has no IPv6.
        return;
    }
    for (key, value) in settings(name, index, interface) {
        if let Err(error) = std::fs::write(folder.join(key), value.to_string()) {
            report_error(format!("{name}: {key}: {error}"));
        }
    }
}

/// The settings; see Documentation/networking/ip-sysctl.rst of the kernel.
fn settings(name: &str, index: u32, interface: &Interface) -> [(&'static str, u32); 3] {
    // 2 accepts them also when forwarding is on, as Docker sets it for IPv6 networks. An interface that is
    // part of another one has no address.
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
    fn router_advertisement_settings_follow_the_interface() {
        let settings = |text| {
            settings("eth1", 3, &serde_yaml::from_str(text).unwrap()).map(|(_, value)| value)
        };
        assert_eq!(settings("{}"), [2, 1, 101]);
        assert_eq!(settings("{ default_route: false, metric: 9 }"), [2, 0, 9]);
        assert_eq!(settings("{ bridge: br0 }")[0], 0);
    }
}
