//! Interfaces that are made: bridges, bonds, and VLANs on top of others.

use std::collections::BTreeSet;
use std::path::Path;

use config::{Bridge, Interface, Network};

use super::commands::words;
use super::devices::{self, Devices};
use super::run;

/// Makes the bridges and bonds that are not there yet, and sets the options of bonds.
pub fn make(network: &Network, there: &Devices, tell: &mut impl FnMut(String)) {
    for (name, kind) in wanted(network) {
        if !there.contains_key(name) {
            add(name, &format!("link add name {name} type {kind}"), tell);
        }
    }
    for (name, interface) in network.named() {
        set_bond_options(name, interface, tell);
    }
}

/// Makes the VLANs on top of an interface.
pub fn make_vlans(parent: &str, interface: &Interface, tell: &mut impl FnMut(String)) {
    for vlan in &interface.vlans.0 {
        let name = vlan.interface(parent);
        if devices::one(&name).is_none() {
            let text = format!(
                "link add link {parent} name {name} type vlan id {}",
                vlan.id
            );
            add(&name, &text, tell);
        }
    }
}

/// One that came meanwhile is as good: the module `bonding` makes `bond0` when it is loaded.
fn add(name: &str, text: &str, tell: &mut impl FnMut(String)) {
    if let Err(error) = run(&words(text))
        && devices::one(name).is_none()
    {
        tell(error);
    }
}

/// The bridges and bonds that the configuration names, each with its kind.
fn wanted(network: &Network) -> Vec<(&str, &'static str)> {
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

fn set_bond_options(name: &str, interface: &Interface, tell: &mut impl FnMut(String)) {
    let folder = Path::new(devices::FOLDER).join(name).join("bonding");
    let options = &interface.bond_opts;
    // What others may be depends on the mode.
    let mode = options.get_key_value("mode");
    let others = options.iter().filter(|(key, _)| *key != "mode");
    for (key, value) in mode.into_iter().chain(others) {
        if key.contains(['/', '.']) {
            tell(format!("{name}: there is no bond option {key}"));
            continue;
        }
        let file = folder.join(key);
        let has = std::fs::read_to_string(&file).unwrap_or_default();
        if is_set(&has, value) {
            continue;
        }
        if let Err(error) = std::fs::write(&file, value) {
            tell(format!("{name}: bond option {key}: {value}: {error}"));
        }
    }
}

/// Options with names are shown with their number: `active-backup 1`.
fn is_set(has: &str, wanted: &str) -> bool {
    has.trim() == wanted.trim() || has.split_whitespace().any(|word| word == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bonds_and_bridges_are_made_whoever_names_them() {
        let network = "interfaces: { br0: { bridge: true }, eth1: { bridge: br0 }, eth2: { bond: bond0 }, \
                       bond1: { bond_opts: { mode: '1' } }, eth3: {} }";
        let network: Network = serde_yaml::from_str(network).unwrap();
        assert_eq!(
            wanted(&network),
            [("bond0", "bond"), ("bond1", "bond"), ("br0", "bridge")]
        );
    }

    #[test]
    fn an_option_that_is_set_is_left_alone() {
        for wanted in ["active-backup", "1"] {
            assert!(is_set("active-backup 1\n", wanted));
        }
        assert!(is_set("100\n", "100") && !is_set("100\n", "50"));
    }
}
