//! Checks of the machines and the networks of a cluster.

use switch::Subnet;

use super::super::cluster::{Cluster, ClusterNetwork};
use super::super::collector::Lint;
use super::super::file::MachineFile;

/// Networks that each machine has.
const RESERVED: [(&str, &str); 2] = [
    // QEMU's user network, over which the harness reaches a machine (net/slirp.c).
    ("10.0.2.0/24", "the management network of each machine"),
    // The first of the default address pools (daemon/libnetwork/ipamutils/utils.go in moby).
    ("172.17.0.0/16", "the default network of Docker"),
];

/// The longest label of a host name (RFC 1123, 2.1).
const LONGEST_NAME: usize = 63;

/// Checks the machines and networks of a file; `has_machines`: whether the file has `machines`. `machine` is what
/// all machines have in common.
pub(crate) fn cluster(
    lint: &mut Lint<'_>,
    has_machines: bool,
    machine: &MachineFile,
    cluster: &Cluster,
) {
    let few = has_machines && cluster.machines.len() < 2;
    let message = "a cluster has at least two machines";
    let hint = "add a machine, or remove `machines` for one machine";
    lint.refuse(few, "machines", message, hint);
    if !has_machines && !cluster.networks.is_empty() {
        let message = "`networks` connects machines, and this file has no `machines`";
        let hint = "add `machines`, or use `machine.cards` for more network cards of one machine";
        lint.key("networks", message, hint);
        return;
    }
    names(lint, cluster);
    attachments(lint, cluster);
    for (number, network) in cluster.networks.iter().enumerate() {
        subnet(lint, cluster, number, network);
        cards(lint, machine, network);
    }
}

fn names(lint: &mut Lint<'_>, cluster: &Cluster) {
    let machines = cluster.machine_names().map(|name| ("machines", name));
    let networks = cluster.network_names().map(|name| ("networks", name));
    for (key, name) in machines.chain(networks) {
        let message = format!("`{name}` is not a valid name");
        let hint = "use lower-case letters, digits and dashes; begin with a letter, and do not end with a dash";
        lint.refuse(!is_name(name), &format!("{key}.{name}"), &message, hint);
    }
    for name in cluster.machine_names() {
        let twice = cluster.network(name).is_some();
        let message = format!("`{name}` is the name of a machine and of a network");
        lint.refuse(
            twice,
            &format!("networks.{name}"),
            &message,
            "rename one of them",
        );
    }
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.len() <= LONGEST_NAME
        && name.chars().all(letter)
}

/// Checks the networks that machines are attached to.
fn attachments(lint: &mut Lint<'_>, cluster: &Cluster) {
    for machine in &cluster.machines {
        for (number, name) in machine.networks.iter().enumerate() {
            let path = format!("machines.{}.networks[{number}]", machine.name);
            cluster.has_network(lint, name, &path);
            if machine.networks[..number].contains(name) {
                let hint = "remove one of them; a machine has one card on each network";
                lint.value(&path, format!("duplicate network `{name}`"), hint);
            }
        }
    }
    for name in cluster.network_names() {
        let is_attached = |networks: &[String]| networks.iter().any(|one| one == name);
        let unused = !cluster
            .machines
            .iter()
            .any(|one| is_attached(&one.networks));
        let message = "no machine is attached to this network";
        let hint = format!("add `{name}` to `networks` of a machine, or remove it");
        lint.refuse(unused, &format!("networks.{name}"), message, &hint);
    }
}

fn subnet(lint: &mut Lint<'_>, cluster: &Cluster, number: usize, network: &ClusterNetwork) {
    let path = format!("networks.{}.subnet", network.name);
    let subnet = network.subnet;
    let reserved = RESERVED.iter().filter_map(|(text, what)| {
        let reserved: Subnet = text.parse().ok()?;
        Some((reserved, format!("{what} ({text})")))
    });
    let earlier = cluster.networks[..number].iter();
    let earlier = earlier.map(|one| {
        (
            one.subnet,
            format!("network `{}` ({})", one.name, one.subnet),
        )
    });
    for (other, what) in reserved.chain(earlier) {
        if subnet.overlaps(&other) {
            let message = format!("{subnet} overlaps {what}");
            lint.value(&path, message, "choose another one, e.g. `10.9.0.0/24`");
        }
    }
    let attached = |networks: &[String]| networks.contains(&network.name);
    let machines = cluster.machines.iter().zip(1..);
    for (machine, number) in machines.filter(|(machine, _)| attached(&machine.networks)) {
        if subnet.machine(number).is_none() {
            let name = &machine.name;
            let message = format!("{subnet} has no address for machine `{name}` (number {number})");
            lint.value(&path, message, "choose a larger subnet, e.g. `10.9.0.0/24`");
        }
    }
}

/// Refuses a subnet that a network card of all machines has.
fn cards(lint: &mut Lint<'_>, machine: &MachineFile, network: &ClusterNetwork) {
    for (number, card) in machine.cards.iter().enumerate() {
        let other = card.subnet.to_string().parse();
        if other.is_ok_and(|other| network.subnet.overlaps(&other)) {
            let message = format!(
                "{} overlaps `machine.cards[{number}]` ({})",
                network.subnet, card.subnet
            );
            let path = format!("networks.{}.subnet", network.name);
            lint.value(&path, message, "choose another one, e.g. `10.9.0.0/24`");
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::testing::{cluster, errors, read};

    fn errors_of(machines: &str, networks: &str) -> String {
        errors(&format!(
            "name: tea\nabout: tea\nmachines: {machines}\nnetworks:\n{networks}\nsteps:\n  - {{ on: a, ssh: {{ run: ls }} }}\n"
        ))
    }

    #[test]
    fn machines_and_networks_are_read_in_the_order_of_their_names() {
        let text = cluster("", "{ on: [c, a], ssh: { run: ls } }");
        let scenario = read(&text).unwrap();
        let names: Vec<_> = scenario
            .cluster
            .machines
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(scenario.cluster.machines[1].networks, ["lan", "wan"]);
        assert_eq!(scenario.cluster.networks[1].name, "wan");
        assert!(scenario.cluster.networks[0].dhcp && !scenario.cluster.networks[1].dhcp);
        assert_eq!(scenario.steps[0].on, ["c", "a"]);
        assert_eq!(
            (scenario.cluster.number("c"), scenario.cluster.number("d")),
            (Some(3), None)
        );
        let address = |machine, network| scenario.cluster.address(machine, network);
        assert_eq!(address("c", "wan"), Some([10, 8, 0, 3].into()));
        assert_eq!((address("c", "lan"), address("c", "van")), (None, None));
    }

    #[test]
    fn scenario_with_one_machine_has_no_cluster() {
        let scenario = read(crate::testing::GOOD).unwrap();
        assert!(scenario.cluster.machines.is_empty() && scenario.cluster.networks.is_empty());
        assert!(scenario.steps.iter().all(|step| step.on.is_empty()));
    }

    #[test]
    fn cluster_is_refused_when_it_has_few_machines_or_only_networks() {
        assert_snapshot!(errors_of(
            "{ a: { networks: [lan] } }",
            "  lan: { subnet: 10.9.0.0/24 }"
        ));
        assert_snapshot!(errors(
            "name: tea\nabout: tea\nnetworks: { lan: { subnet: 10.9.0.0/24 } }\nsteps: [{ ssh: { run: ls } }]\n"
        ));
    }

    #[test]
    fn names_and_attachments_are_refused_when_they_are_invalid() {
        assert_snapshot!(errors_of(
            "{ a: { networks: [lna, wan, wan] }, B_1: {}, wan: {} }",
            "  lan: { subnet: 10.9.0.0/24 }\n  wan: { subnet: 10.8.0.0/24 }\n  x-: { subnet: 10.7.0.0/24 }",
        ));
    }

    #[test]
    fn subnet_is_refused_when_it_overlaps_or_is_too_small() {
        let machines =
            "{ a: { networks: [e] }, b: {}, c: {}, d: {}, d2: {}, d3: { networks: [e, f, g, h] } }";
        assert_snapshot!(errors_of(
            &format!("{machines}\nmachine: {{ cards: [{{ subnet: 10.5.0.0/24 }}] }}"),
            "  e: { subnet: 10.0.0.0/8 }\n  f: { subnet: 10.5.0.0/29 }\n  g: { subnet: 172.16.0.0/12 }\n  h: { subnet: 192.168.0.0/29 }",
        ));
    }

    #[test]
    fn subnet_is_refused_with_its_line_when_it_is_no_subnet() {
        for (subnet, expected) in [
            ("lan", "is not an IPv4 subnet"),
            ("10.9.0.1/24", "use 10.9.0.0/24"),
            ("10.9.0.0/30", "from 8 to 29"),
        ] {
            let text = errors_of(
                "{ a: {}, b: {} }",
                &format!("  lan: {{ subnet: {subnet} }}"),
            );
            assert!(
                text.contains(expected) && text.contains("tea.yaml:5"),
                "{text}"
            );
        }
    }
}
