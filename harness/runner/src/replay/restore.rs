//! Restores the machines of a past trial, with the networks between them.

use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::evidence::Evidence;
use crate::project::Project;
use crate::session::Networks;
use machine::{FailureSnapshot, Machine, MachineError, RestoreOptions};

use super::error::ReplayError;
use super::past::PastTrial;

/// Why the machines of a past trial cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The evidence is incomplete.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A machine cannot be restored.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The evidence of a restored machine cannot be written.
    #[error("cannot create the evidence of machine {name}: {source}")]
    Evidence {
        /// The name of the machine.
        name: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// A restored machine.
pub struct RestoredMachine {
    /// Its name, if the trial had several.
    pub name: Option<String>,
    /// The machine.
    pub machine: Arc<Machine>,
    /// The folder of its logs.
    pub evidence: Evidence,
    // Protected from eviction while the machine uses its disks.
    _snapshot: FailureSnapshot,
}

/// The restored machines of a trial.
pub struct Restored {
    /// The machines, in the order of their names.
    pub machines: Vec<RestoredMachine>,
    /// The networks between them exist as long as this value.
    _networks: Networks,
}

impl PastTrial {
    /// Restores the machine with this name, alone, or without a name all machines of the trial with the networks
    /// between them. With `paused` the guests do not run until QEMU receives `cont`. Must be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    /// The evidence is incomplete, or a machine cannot be restored.
    pub async fn restore(
        &self,
        name: Option<&str>,
        paused: bool,
        artifacts: &Artifacts,
        project: &Project,
        evidence: &Evidence,
    ) -> Result<Restored, RestoreError> {
        let initrd = Some(artifacts.initrd.as_path());
        let options = || RestoreOptions {
            paused: true,
            ..RestoreOptions::new(&artifacts.kernel, initrd)
        };
        let names = self.machine_names();
        let (mut machines, mut networks) = (Vec::new(), Networks::default());
        if name.is_some() || names.is_empty() {
            let one = self.restore_one(name, options(), evidence.clone()).await?;
            machines.push(one);
        } else {
            let cluster = self.trial(project)?.0.scenario.cluster.clone();
            networks = Networks::new(&cluster);
            for machine in &cluster.machines {
                let options = RestoreOptions {
                    links: networks.links(&cluster, machine),
                    names: Networks::names(&cluster, machine),
                    ..options()
                };
                let name = machine.name.as_str();
                let evidence = evidence.of_machine(name);
                let evidence = evidence.map_err(|source| RestoreError::Evidence {
                    name: name.to_owned(),
                    source,
                })?;
                let one = self.restore_one(Some(name), options, evidence).await?;
                machines.push(one);
            }
        }
        if !paused {
            // All at once: they were stopped at one moment.
            for one in &machines {
                one.machine.resume().await?;
            }
        }
        Ok(Restored {
            machines,
            _networks: networks,
        })
    }

    async fn restore_one(
        &self,
        name: Option<&str>,
        options: RestoreOptions<'_>,
        evidence: Evidence,
    ) -> Result<RestoredMachine, RestoreError> {
        let snapshot = self.machine(name)?;
        let machine = Machine::restore(&snapshot, options, evidence.logs()).await?;
        Ok(RestoredMachine {
            name: name.map(str::to_owned),
            machine: Arc::new(machine),
            evidence,
            _snapshot: snapshot,
        })
    }
}
