//! Volumes, metadata and network cards that cannot be.

use std::net::Ipv4Addr;

use super::super::file::MachineFile;
use super::super::supply::Subnet;
use super::Lint;
use base::files;

/// The networks that the first card leads to, without metadata and with it.
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

/// What volumes, metadata and network cards say.
pub(super) fn told(lint: &mut Lint<'_>, machine: &MachineFile) {
    let nobodys = machine.tells_key() && !machine.ssh_key;
    let message = "`<ssh_key>` stands for a key that the machine is not given";
    lint.refuse(
        nobodys,
        "machine.ssh_key",
        message,
        "leave `ssh_key: false` away",
    );
    let key = machine.ssh_key && !machine.tells_key();
    for (number, volume) in machine.volumes.iter().enumerate() {
        let path = format!("machine.volumes[{number}]");
        let most = volume.format.longest_label();
        let fits = (1..=most).contains(&volume.label.len());
        let fits = fits
            && volume
                .label
                .chars()
                .all(|c| c == ' ' || c.is_ascii_graphic());
        let hint = format!("write 1 to {most} letters, e.g. `cidata`");
        let hint = hint.as_str();
        lint.refuse(
            !fits,
            &format!("{path}.label"),
            "this cannot be a label",
            hint,
        );
        for file in volume.files.keys() {
            let message = format!("`{}` is no path in a volume", file.escape_debug());
            let hint = "write folders and a name, `meta/user-data`; none of them is `..`";
            let wrong = !files::is_relative(file);
            lint.refuse(wrong, &format!("{path}.files"), &message, hint);
            let below = volume.files.keys().any(|other| {
                let rest = other.strip_prefix(file.as_str());
                rest.is_some_and(|rest| rest.starts_with('/'))
            });
            let message = format!("`{}` is a file and a folder", file.escape_debug());
            let hint = "give one of them another name";
            lint.refuse(below, &format!("{path}.files"), &message, hint);
        }
        let second = volume.label.eq_ignore_ascii_case("config-2")
            && (key || machine.cloud_config.is_some());
        let message = "the machine has another config drive, for `cloud_config` or the trial's key";
        let hint = "write `<ssh_key>` where its files name keys, and no `cloud_config`";
        lint.refuse(second, &format!("{path}.label"), message, hint);
    }
    lint.refuse(
        machine.registry.is_some() && !machine.metadata.is_empty(),
        "machine.registry",
        "a machine has metadata or a registry: the network is another one with metadata",
        "leave one of them out",
    );
    for (number, card) in machine.cards.iter().enumerate() {
        let taken = |other: &Subnet| card.subnet.overlaps(other);
        let before = machine.cards[..number].iter().map(|card| card.subnet);
        let message = format!("`{}` is the network of another card", card.subnet);
        lint.refuse(
            before.chain(FIRST_CARDS).any(|other| taken(&other)),
            &format!("machine.cards[{number}].subnet"),
            &message,
            "write one that no other card has, e.g. `10.0.4.0/24`",
        );
    }
    for (path, page) in &machine.metadata {
        let blank = path.contains(char::is_whitespace) || !path.starts_with('/');
        let message = format!("`{path}` is no path of a page");
        let hint = "write it as `/latest/user-data`";
        lint.refuse(blank, "machine.metadata", &message, hint);
        let method = !page.method.is_empty() && page.method.chars().all(|c| c.is_ascii_uppercase());
        let message = format!("`{}` is no method", page.method);
        lint.refuse(
            !method,
            "machine.metadata",
            &message,
            "write `GET` or `PUT`",
        );
    }
}
