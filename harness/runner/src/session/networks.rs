//! The networks between the machines of a trial, and the faults that steps injected into them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use machine::Link;
use machine::services::Names;
use machine::switch::{CutId, Impairment, Network, NetworkError, NetworkSettings};
use scenario::step::Undone;
use scenario::{Cluster, ClusterMachine};

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
    /// Creates the networks of a cluster; must be called inside a tokio runtime.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let network = |one: &scenario::ClusterNetwork| {
            let settings = NetworkSettings {
                name: one.name.clone(),
                subnet: one.subnet,
                dhcp: one.dhcp,
            };
            (one.name.clone(), Network::with_settings(settings))
        };
        let is_served = |name: &String| {
            let mut networks = cluster.networks.iter();
            networks.any(|network| network.name == *name && network.dhcp)
        };
        let served = cluster.machines.iter().flat_map(|machine| {
            let networks = machine.networks.iter().filter(|name| is_served(name));
            networks.map(|network| (network.clone(), machine.name.clone()))
        });
        Self {
            all: cluster.networks.iter().map(network).collect(),
            served: served.collect(),
            faults: Mutex::default(),
        }
    }

    /// The links of a machine.
    pub(crate) fn links(&self, cluster: &Cluster, machine: &ClusterMachine) -> Vec<Link> {
        let number = cluster.number(&machine.name).unwrap_or(1);
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
    pub(crate) fn names(cluster: &Cluster, machine: &ClusterMachine) -> Names {
        let mut names = Names::new();
        for other in &cluster.machines {
            let shared = |network: &&String| machine.networks.contains(network);
            for network in other.networks.iter().filter(shared) {
                let Some(address) = cluster.address(&other.name, network) else {
                    continue;
                };
                names.insert(format!("{}.{network}", other.name), address);
                // The first network that both are attached to.
                names.entry(other.name.clone()).or_insert(address);
            }
        }
        names
    }

    /// Waits until a machine uses the addresses that DHCP gives it.
    pub(crate) async fn settled(&self, machine: &str, limit: Duration) -> Result<(), StepFailure> {
        let missing = |(network, served): &&(String, String)| {
            let network = self.all.get(network);
            *served == machine
                && !network.is_some_and(|network| network.is_present(machine).unwrap_or(false))
        };
        let look = async || match self.served.iter().find(missing) {
            None => Poll::Ready(()),
            Some((network, _)) => Poll::NotYet(format!("none on {network}")),
        };
        Ok(wait_until("the addresses of the machine", limit, look).await?)
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
    ) -> Result<CutId, StepFailure> {
        let [from, to] = [from, to].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
        let id = self.get(network)?.cut(&from, &to).map_err(failed)?;
        let network = network.to_owned();
        self.faults().push(NetworkFault::Cut { network, id });
        Ok(id)
    }

    /// Ends a cut.
    pub(crate) fn heal(&self, cut: CutId) {
        self.revert_each(|fault| matches!(fault, NetworkFault::Cut { id, .. } if *id == cut));
    }

    /// Sets the impairment of a link, in place of an earlier one, until the fault is reverted.
    pub(crate) fn impair(
        &self,
        network: &str,
        machine: &str,
        how: Impairment,
    ) -> Result<(), StepFailure> {
        self.restore(network, machine);
        let set = self.get(network)?.impair(machine, how);
        set.map_err(failed)?;
        let (network, machine) = (network.to_owned(), machine.to_owned());
        let fault = NetworkFault::Impaired { network, machine };
        self.faults().push(fault);
        Ok(())
    }

    /// Ends the impairment of a link.
    pub(crate) fn restore(&self, network: &str, machine: &str) {
        self.revert_each(|fault| {
            matches!(fault, NetworkFault::Impaired { network: on, machine: of }
                if on == network && of == machine)
        });
    }

    /// Reverts the faults that `target` selects.
    pub(crate) fn revert(&self, target: Undone) {
        self.revert_each(|fault| fault.is_reverted_by(target));
    }

    fn revert_each(&self, which: impl Fn(&NetworkFault) -> bool) {
        for fault in self.faults().extract_if(.., |fault| which(fault)) {
            let (NetworkFault::Cut { network, .. } | NetworkFault::Impaired { network, .. }) =
                &fault;
            let Some(network) = self.all.get(network) else {
                continue;
            };
            match &fault {
                NetworkFault::Cut { id, .. } => network.heal(*id),
                // A machine that is gone has no link.
                NetworkFault::Impaired { machine, .. } => {
                    let _ = network.impair(machine, Impairment::default());
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

fn failed(error: NetworkError) -> StepFailure {
    StepFailure::new(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenario::Known;

    const TEXT: &str = "name: tea\nabout: tea\nmachines: { a: { networks: [lan] }, b: { networks: [lan] } }\n\
        networks: { lan: { subnet: 10.9.0.0/24 } }\nsteps:\n  - on: a\n    ssh: { run: 'true' }\n";

    fn scenario() -> scenario::Scenario {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tea.yaml");
        std::fs::write(&file, TEXT).unwrap();
        let profiles = vec!["q35".into()];
        let known = Known {
            profiles,
            ..Known::default()
        };
        scenario::load(&file, &known).unwrap()
    }

    #[tokio::test]
    async fn the_end_of_a_fault_leaves_the_others() {
        let scenario = scenario();
        let networks = Networks::new(&scenario.cluster);
        let links = scenario.cluster.machines.iter();
        let links: Vec<_> = links
            .flat_map(|machine| networks.links(&scenario.cluster, machine))
            .collect();
        let attach = |link: &Link| link.network.attach(&link.machine, link.number).unwrap();
        let _attached: Vec<_> = links.iter().map(attach).collect();
        let [a, b] = ["a", "b"].map(|name| vec![name.to_owned()]);
        let first = networks.cut("lan", &a, &b).unwrap();
        networks.cut("lan", &b, &a).unwrap();
        let slow = Impairment {
            loss: 5,
            ..Impairment::default()
        };
        for machine in ["a", "b", "b"] {
            networks.impair("lan", machine, slow).unwrap();
        }
        let active = || networks.faults().len();
        assert_eq!(active(), 4, "an impairment replaces the earlier one");
        networks.heal(first);
        networks.restore("lan", "a");
        assert_eq!(active(), 2);
        networks.revert(Undone::Link);
        assert_eq!(active(), 1);
        networks.revert(Undone::All);
        assert_eq!(active(), 0);
        assert!(
            networks.cut("wan", &a, &b).is_err()
                && networks.cut("lan", &a, &["c".to_owned()]).is_err()
        );
    }
}
