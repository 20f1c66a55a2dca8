//! Checks of seed data (volumes and metadata pages), the registry and network cards.

use std::net::Ipv4Addr;

use super::super::collector::Lint;
use super::super::file::MachineFile;
use super::super::seed_data::VolumeFile;
use super::super::subnet::Subnet;
use base::files;

/// The networks of the first card: without metadata, and with it.
const FIRST_CARDS: [Subnet; 2] = [
    Subnet {
        address: Ipv4Addr::new(10, 0, 2, 0),
        bits: 24,
    },
    Subnet {
        address: Ipv4Addr::new(169, 254, 0, 0),
        bits: 16,
    },
];

/// Checks volumes, metadata, registry and network cards.
pub(super) fn check(lint: &mut Lint<'_>, machine: &MachineFile) {
    let message = "`<ssh_key>` needs the trial's key, which the machine does not have";
    let unused = machine.has_key_placeholder() && !machine.ssh_key;
    let hint = "remove `ssh_key: false`";
    lint.refuse(unused, "machine.ssh_key", message, hint);
    for (number, volume) in machine.volumes.iter().enumerate() {
        let path = format!("machine.volumes[{number}]");
        label(lint, volume, &path);
        volume_files(lint, volume, &path);
        config_drive(lint, machine, volume, &path);
    }
    let message = "`registry` cannot be combined with `metadata`, which uses another network";
    let both = machine.registry.is_some() && !machine.metadata.is_empty();
    lint.refuse(both, "machine.registry", message, "remove one of the two");
    cards(lint, machine);
    metadata(lint, machine);
}

fn label(lint: &mut Lint<'_>, volume: &VolumeFile, path: &str) {
    let label = &volume.label;
    let longest = volume.format.longest_label();
    let is_printable = label.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    let valid = (1..=longest).contains(&label.len()) && is_printable;
    let hint = format!("write 1 to {longest} printable ASCII characters, e.g. `cidata`");
    lint.refuse(
        !valid,
        &format!("{path}.label"),
        "not a volume label",
        &hint,
    );
}

fn volume_files(lint: &mut Lint<'_>, volume: &VolumeFile, path: &str) {
    let path = format!("{path}.files");
    for file in volume.files.keys() {
        let message = format!("`{}` is not a path in a volume", file.escape_debug());
        let hint = "write a relative path without `..`, e.g. `meta/user-data`";
        lint.refuse(!files::is_relative(file), &path, &message, hint);
        let is_folder = volume.files.keys().any(|other| {
            let rest = other.strip_prefix(file.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        });
        let message = format!("`{}` is both a file and a folder", file.escape_debug());
        lint.refuse(is_folder, &path, &message, "rename one of them");
    }
}

/// Refuses a volume that is a config drive if the machine gets one from the harness.
fn config_drive(lint: &mut Lint<'_>, machine: &MachineFile, volume: &VolumeFile, path: &str) {
    let key = machine.ssh_key && !machine.has_key_placeholder();
    let second =
        volume.label.eq_ignore_ascii_case("config-2") && (key || machine.cloud_config.is_some());
    let message = "the machine already has a config drive, for `cloud_config` or the trial's key";
    let hint = "remove `cloud_config`, and write `<ssh_key>` in the files of this volume";
    lint.refuse(second, &format!("{path}.label"), message, hint);
}

fn cards(lint: &mut Lint<'_>, machine: &MachineFile) {
    for (number, card) in machine.cards.iter().enumerate() {
        let earlier = machine.cards[..number].iter().map(|card| card.subnet);
        let mut networks = earlier.chain(FIRST_CARDS);
        let message = format!("`{}` overlaps the network of another card", card.subnet);
        lint.refuse(
            networks.any(|other| card.subnet.overlaps(&other)),
            &format!("machine.cards[{number}].subnet"),
            &message,
            "write an unused network, e.g. `10.0.4.0/24`",
        );
    }
}

fn metadata(lint: &mut Lint<'_>, machine: &MachineFile) {
    for (path, page) in &machine.metadata {
        let invalid = path.contains(char::is_whitespace) || !path.starts_with('/');
        let message = format!("`{path}` is not a path of a page");
        let hint = "write an absolute path without spaces, e.g. `/latest/user-data`";
        lint.refuse(invalid, "machine.metadata", &message, hint);
        let method = &page.method;
        let valid = !method.is_empty() && method.chars().all(|c| c.is_ascii_uppercase());
        let message = format!("`{method}` is not an HTTP method");
        lint.refuse(!valid, "machine.metadata", &message, "write `GET` or `PUT`");
    }
}
