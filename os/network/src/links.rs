//! Creates virtual interfaces: bridges, bonds and VLANs.

use std::collections::BTreeSet;
use std::path::Path;

use config::{Bridge, Interface, Network};

use super::commands::{ip, words};
use super::devices::{self, Devices};

/// Creates missing bridges and bonds, and sets the options of bonds.
pub(crate) fn create(network: &Network, existing: &Devices, report_error: &mut impl FnMut(String)) {
    for (name, kind) in bridges_and_bonds(network) {
        if !existing.contains_key(name) {
            let text = format!("link add name {name} type {kind}");
            add(name, &text, report_error);
        }
    }
    for (name, interface) in network.named() {
        set_bond_options(name, interface, report_error);
    }
}

/// Creates the VLANs on top of an interface.
pub(crate) fn create_vlans(
    parent: &str,
    interface: &Interface,
    report_error: &mut impl FnMut(String),
) {
    for vlan in &interface.vlans.0 {
        let name = vlan.interface(parent);
        if devices::one(&name).is_none() {
            let text = format!(
                "link add link {parent} name {name} type vlan id {}",
                vlan.id
            );
            add(&name, &text, report_error);
        }
    }
}

/// Adds an interface. It is no error if it exists now: the module `bonding` creates `bond0` when it is
/// loaded.
fn add(name: &str, text: &str, report_error: &mut impl FnMut(String)) {
    if let Err(error) = ip(&words(text))
        && devices::one(name).is_none()
    {
        report_error(error);
    }
}

/// The bridges and bonds in the configuration, each with its type.
fn bridges_and_bonds(network: &Network) -> Vec<(&str, &'static str)> {
    let mut all = BTreeSet::new();
    for interface in network.interfaces.values() {
        all.extend(interface.bond.as_deref().map(|bond| (bond, "bond")));
    }
    for (name, interface) in network.named() {
        if interface.bridge == Some(Bridge::Is(true)) {
            all.insert((name, "bridge"));
        }
        if !interface.bond_opts.is_empty() {
            all.insert((name, "bond"));
        }
    }
    all.into_iter().collect()
}

fn set_bond_options(name: &str, interface: &Interface, report_error: &mut impl FnMut(String)) {
    let folder = Path::new(devices::FOLDER).join(name).join("bonding");
    let options = &interface.bond_opts;
    // The mode is set first, because the valid values of other options depend on it.
    let mode = options.get_key_value("mode");
    let others = options.iter().filter(|(key, _)| *key != "mode");
    for (key, value) in mode.into_iter().chain(others) {
        if key.contains(['/', '.']) {
            report_error(format!("{name}: unknown bond option {key}"));
            continue;
        }
        let file = folder.join(key);
        let current = std::fs::read_to_string(&file).unwrap_or_default();
        if is_set(&current, value) {
            continue;
        }
        if let Err(error) = std::fs::write(&file, value) {
            report_error(format!("{name}: bond option {key}: {value}: {error}"));
        }
    }
}

/// Whether an option has a value. The kernel prints named values with their number: `active-backup 1`.
fn is_set(current: &str, value: &str) -> bool {
    current.trim() == value.trim() || current.split_whitespace().any(|word| word == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bonds_and_bridges_are_found_in_all_settings() {
        let network = "interfaces: { br0: { bridge: true }, eth1: { bridge: br0 }, eth2: { bond: bond0 }, \
                       bond1: { bond_opts: { mode: '1' } }, eth3: {} }";
        let network: Network = serde_yaml::from_str(network).unwrap();
        assert_eq!(
            bridges_and_bonds(&network),
            [("bond0", "bond"), ("bond1", "bond"), ("br0", "bridge")]
        );
    }

    #[test]
    fn is_set_accepts_the_name_or_the_number_of_a_value() {
        for value in ["active-backup", "1"] {
            assert!(is_set("active-backup 1\n", value));
        }
        assert!(is_set("100\n", "100") && !is_set("100\n", "50"));
    }
}
