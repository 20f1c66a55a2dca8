//! Several machines in a scenario, and the networks between them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Deserialize;
use switch::Subnet;
use yaml::closest;

use super::collector::Lint;
use super::value::from_text;

/// A machine of a cluster. `machine` describes what all machines have in common.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ClusterMachine")]
pub struct ClusterMachineFile {
    /// The networks that it is attached to, each with a network card. The cards are in this order.
    pub networks: Vec<String>,
}

/// A network between the machines of a cluster: an Ethernet switch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ClusterNetwork")]
pub struct ClusterNetworkFile {
    /// Its addresses (`10.9.0.0/24`). The first of all machines by name has the first address, the second one
    /// the second, whether they are attached or not.
    #[serde(deserialize_with = "from_text")]
    #[schemars(with = "String")]
    pub subnet: Subnet,
    /// Whether the network has a DHCP server, which gives each machine its address.
    #[serde(default = "yes")]
    pub dhcp: bool,
}

fn yes() -> bool {
    true
}

/// A machine of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterMachine {
    /// Its name.
    pub name: String,
    /// The networks that it is attached to, in the order of the file; each is one network card.
    pub networks: Vec<String>,
}

/// A network between machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNetwork {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub subnet: Subnet,
    /// Whether its DHCP server gives each machine its address.
    pub dhcp: bool,
}

/// The machines and the networks of a scenario; none for a scenario with one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The machines, in the order of their names.
    pub machines: Vec<ClusterMachine>,
    /// The networks, in the order of their names.
    pub networks: Vec<ClusterNetwork>,
}

impl Cluster {
    pub(crate) fn of(
        machines: Option<&BTreeMap<String, ClusterMachineFile>>,
        networks: &BTreeMap<String, ClusterNetworkFile>,
    ) -> Self {
        let machine = |(name, file): (&String, &ClusterMachineFile)| ClusterMachine {
            name: name.clone(),
            networks: file.networks.clone(),
        };
        let network = |(name, file): (&String, &ClusterNetworkFile)| ClusterNetwork {
            name: name.clone(),
            subnet: file.subnet,
            dhcp: file.dhcp,
        };
        Self {
            machines: machines.into_iter().flatten().map(machine).collect(),
            networks: networks.iter().map(network).collect(),
        }
    }

    /// Whether it has no machines.
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// The number of a machine, from 1, in the order of their names.
    pub fn number(&self, machine: &str) -> Option<u32> {
        let index = self.machines.iter().position(|one| one.name == machine)?;
        u32::try_from(index + 1).ok()
    }

    /// The address of a machine on a network that it is attached to. The number of the machine selects it:
    /// the first machine has the first address.
    pub fn address(&self, machine: &str, network: &str) -> Option<Ipv4Addr> {
        let attached = &self.machine(machine)?.networks;
        attached.iter().find(|one| *one == network)?;
        self.network(network)?.subnet.machine(self.number(machine)?)
    }

    pub(crate) fn machine(&self, name: &str) -> Option<&ClusterMachine> {
        self.machines.iter().find(|machine| machine.name == name)
    }

    pub(crate) fn network(&self, name: &str) -> Option<&ClusterNetwork> {
        self.networks.iter().find(|network| network.name == name)
    }

    /// Whether a machine exists; reports an error at the value of `path` if not.
    pub(crate) fn has_machine(&self, lint: &mut Lint<'_>, name: &str, path: &str) -> bool {
        let known = self.machine(name).is_some();
        if !known {
            let names = self.machine_names().collect();
            lint.value(path, format!("unknown machine `{name}`"), near(name, names));
        }
        known
    }

    /// Whether a network exists; reports an error at the value of `path` if not.
    pub(crate) fn has_network(&self, lint: &mut Lint<'_>, name: &str, path: &str) -> bool {
        let known = self.network(name).is_some();
        if !known {
            let names = self.network_names().collect();
            lint.value(path, format!("unknown network `{name}`"), near(name, names));
        }
        known
    }

    /// Reports an error at the value of `path` if a machine does not exist, or is not attached to a network.
    pub(crate) fn check_attached(
        &self,
        lint: &mut Lint<'_>,
        (machine, network): (&str, &str),
        path: &str,
    ) {
        let attached = |one: &&ClusterMachine| one.networks.iter().any(|name| name == network);
        if !self.has_machine(lint, machine, path)
            || self.machine(machine).as_ref().is_some_and(attached)
        {
            return;
        }
        let message = format!("machine `{machine}` is not attached to network `{network}`");
        let hint = format!("add `{network}` to `machines.{machine}.networks`");
        lint.value(path, message, hint);
    }

    /// The names of the machines.
    pub fn machine_names(&self) -> impl Iterator<Item = &str> {
        self.machines.iter().map(|machine| machine.name.as_str())
    }

    pub(crate) fn network_names(&self) -> impl Iterator<Item = &str> {
        self.networks.iter().map(|network| network.name.as_str())
    }
}

/// The hint for an unknown name.
fn near(wanted: &str, names: Vec<&str>) -> String {
    let list = match names.as_slice() {
        [] => "there are none".to_owned(),
        names => format!("known are: {}", names.join(", ")),
    };
    match closest(wanted, names) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    }
}
