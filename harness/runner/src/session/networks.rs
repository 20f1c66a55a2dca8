//! The networks between the machines of a trial, and the faults that steps injected into them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use machine::Link;
use machine::services::Names;
use machine::switch::{CutId, Impairment, Network, NetworkSettings};
use scenario::step::Undone;
use scenario::{ClusterMachine, Scenario};

use super::failure::StepFailure;
use base::wait::{Poll, wait_until};

/// The networks of a trial; none if it has one machine.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    all: BTreeMap<String, Network>,
    /// The machines with an address from DHCP, by network.
    served: Vec<(String, String)>,
    faults: Mutex<Vec<NetworkFault>>,
}

/// A fault of a network between machines.
#[derive(Debug)]
enum NetworkFault {
    Cut { network: String, id: CutId },
    Impaired { network: String, machine: String },
}

impl NetworkFault {
    fn is_reverted_by(&self, target: Undone) -> bool {
        match (self, target) {
            (_, Undone::All) => true,
            (Self::Cut { .. }, target) => target == Undone::Partition,
            (Self::Impaired { .. }, target) => target == Undone::Link,
        }
    }
}

impl Networks {
    /// Creates the networks of a scenario; must be called inside a tokio runtime.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let network = |one: &scenario::ClusterNetwork| {
            let settings = NetworkSettings {
                name: one.name.clone(),
                subnet: one.subnet,
                dhcp: one.dhcp,
            };
            (one.name.clone(), Network::new(settings))
        };
        let is_served = |name: &String| {
            let mut networks = scenario.networks.iter();
            networks.any(|network| network.name == *name && network.dhcp)
        };
        let served = scenario.machines.iter().flat_map(|machine| {
            let networks = machine.networks.iter().filter(|name| is_served(name));
            networks.map(|network| (network.clone(), machine.name.clone()))
        });
        Self {
            all: scenario.networks.iter().map(network).collect(),
            served: served.collect(),
            faults: Mutex::default(),
        }
    }

    /// The links of a machine.
    pub(crate) fn links(&self, scenario: &Scenario, machine: &ClusterMachine) -> Vec<Link> {
        let number = scenario.number(&machine.name).unwrap_or(1);
        let link = |name: &String| {
            Some(Link {
                network: self.all.get(name)?.clone(),
                machine: machine.name.clone(),
                number,
            })
        };
        machine.networks.iter().filter_map(link).collect()
    }

    /// The names of the other machines, as one machine sees them: `b`, and `b.lan` for each network.
    pub(crate) fn names(scenario: &Scenario, machine: &ClusterMachine) -> Names {
        let mut names = Names::new();
        for other in &scenario.machines {
            let shared = |network: &&String| machine.networks.contains(network);
            for network in other.networks.iter().filter(shared) {
                let Some(address) = scenario.address(&other.name, network) else {
                    continue;
                };
                names.insert(format!("{}.{network}", other.name), address);
                // The first network that both are attached to.
                names.entry(other.name.clone()).or_insert(address);
            }
        }
        names
    }

    /// Waits until each machine uses the addresses that DHCP gives it.
    pub(crate) async fn settled(&self, limit: Duration) -> Result<(), StepFailure> {
        let look = async || {
            let mut missing = self.served.iter().filter(|(network, machine)| {
                let network = self.all.get(network);
                !network.is_some_and(|network| network.is_present(machine).unwrap_or(false))
            });
            match missing.next() {
                None => Poll::Ready(()),
                Some((network, machine)) => {
                    Poll::NotYet(format!("{machine} has no address on {network}"))
                }
            }
        };
        Ok(wait_until("the addresses of all machines", limit, look).await?)
    }

    /// A network by its name.
    pub(crate) fn get(&self, name: &str) -> Result<&Network, StepFailure> {
        let unknown = || StepFailure::new(format!("there is no network `{name}`"));
        self.all.get(name).ok_or_else(unknown)
    }

    /// Cuts a network in one direction, until the fault is reverted.
    pub(crate) fn cut(
        &self,
        network: &str,
        from: &[String],
        to: &[String],
    ) -> Result<(), StepFailure> {
        let names = |all: &[String]| all.to_vec();
        let (from, to) = (names(from), names(to));
        let from: Vec<&str> = from.iter().map(String::as_str).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let cut = self.get(network)?.cut(&from, &to);
        let id = cut.map_err(|error| StepFailure::new(error.to_string()))?;
        let network = network.to_owned();
        self.faults().push(NetworkFault::Cut { network, id });
        Ok(())
    }

    /// Sets the impairment of a link, until the fault is reverted.
    pub(crate) fn impair(
        &self,
        network: &str,
        machine: &str,
        how: Impairment,
    ) -> Result<(), StepFailure> {
        let set = self.get(network)?.impair(machine, how);
        set.map_err(|error| StepFailure::new(error.to_string()))?;
        let (network, machine) = (network.to_owned(), machine.to_owned());
        self.faults()
            .push(NetworkFault::Impaired { network, machine });
        Ok(())
    }

    /// Reverts the faults that `target` selects.
    pub(crate) fn revert(&self, target: Undone) {
        let all = std::mem::take(&mut *self.faults());
        let (reverted, left): (Vec<_>, _) = all
            .into_iter()
            .partition(|fault| fault.is_reverted_by(target));
        *self.faults() = left;
        for fault in reverted {
            match fault {
                NetworkFault::Cut { network, id } => {
                    if let Some(network) = self.all.get(&network) {
                        network.heal(id);
                    }
                }
                NetworkFault::Impaired { network, machine } => {
                    if let Some(network) = self.all.get(&network) {
                        // A machine that is gone has no link.
                        let _ = network.impair(&machine, Impairment::default());
                    }
                }
            }
        }
    }

    /// Writes what was captured to `NETWORK.pcap` in a folder.
    pub(crate) fn write_captures(&self, folder: &Path) -> io::Result<()> {
        for (name, network) in &self.all {
            network.write_pcap(&folder.join(format!("{name}.pcap")))?;
        }
        Ok(())
    }

    fn faults(&self) -> MutexGuard<'_, Vec<NetworkFault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
