//! Starts the machines of a trial: boots, or forks of a checkpoint.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::try_join_all;

use crate::artifacts::Artifacts;
use crate::client;
use crate::evidence::Evidence;
use crate::history;
use crate::provision::{self, CheckpointLease, CheckpointStore};
use crate::session::{Deadline, LOGIN, Networks, Session, StepFailure, scaled};
use base::text::printable;
use events::EventKind;
use machine::services::Names;
use machine::{KeyPair, Link, Machine, MachineError, MachineSpec};
use scenario::step::WaitForStep;
use scenario::{Cluster, ClusterMachine, Start};

use super::checkpoint::Maker;
use super::definition::Trial;
use super::failure::{Failure, InfrastructureError};
use super::log::Log;
use super::machines::Machines;
use super::ready::booted;
use super::settings::Settings;

/// The place of a machine among others.
pub(super) struct Place {
    /// Its name, if it is one of several.
    pub(super) name: Option<String>,
    /// The folder of its logs.
    pub(super) evidence: Evidence,
    links: Vec<Link>,
    names: Names,
}

impl Place {
    /// The places of the machines of a cluster; one if there is no cluster.
    pub(super) fn all(
        cluster: &Cluster,
        networks: &Networks,
        evidence: &Evidence,
    ) -> io::Result<Vec<Self>> {
        if cluster.is_empty() {
            return Ok(vec![Self {
                name: None,
                evidence: evidence.clone(),
                links: vec![],
                names: Names::default(),
            }]);
        }
        let place = |machine: &ClusterMachine| {
            Ok(Self {
                name: Some(machine.name.clone()),
                evidence: evidence.of_machine(&machine.name)?,
                links: networks.links(cluster, machine),
                names: Networks::names(cluster, machine),
            })
        };
        cluster.machines.iter().map(place).collect()
    }

    /// The specification of the machine in this place.
    pub(super) fn of(&self, spec: MachineSpec) -> MachineSpec {
        MachineSpec {
            links: self.links.clone(),
            names: self.names.clone(),
            ..spec
        }
    }
}

/// A machine that was started.
pub(super) struct StartedMachine {
    /// Its name, if it is one of several.
    pub(super) name: Option<String>,
    /// The folder of its logs.
    pub(super) evidence: Evidence,
    pub(super) machine: Arc<Machine>,
    pub(super) keys: KeyPair,
    /// The checkpoint that it was forked from, which must exist as long as the machine runs.
    checkpoint: Option<Arc<CheckpointLease>>,
}

impl StartedMachine {
    /// Machines that were forked from a checkpoint, each in its place.
    pub(super) fn forked(
        machines: Vec<Machine>,
        checkpoint: CheckpointLease,
        places: Vec<Place>,
    ) -> Vec<Self> {
        let checkpoint = Arc::new(checkpoint);
        let started = |(machine, place): (Machine, Place)| Self {
            name: place.name,
            evidence: place.evidence,
            machine: Arc::new(machine),
            keys: checkpoint.keys.clone(),
            checkpoint: Some(Arc::clone(&checkpoint)),
        };
        machines.into_iter().zip(places).map(started).collect()
    }

    /// Whether it was forked from a checkpoint, and so has run the setups already.
    pub(super) fn is_fork(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// The title of what happens before the first step.
    pub(super) fn start_title(&self) -> &'static str {
        if self.is_fork() {
            history::FORK
        } else {
            history::BOOT
        }
    }

    /// Waits until the first step can begin. `wanted` replaces the end of the boot as the condition to wait
    /// for.
    pub(super) async fn ready(
        &self,
        wanted: Option<&WaitForStep>,
        session: &mut Session<'_>,
    ) -> Result<(), StepFailure> {
        let machine = &self.machine;
        if self.checkpoint.is_none() {
            return booted(machine, wanted, session).await;
        }
        let limit = Deadline::within(scaled(LOGIN));
        let clock = async { Ok(session.set_clock(&limit).await) };
        machine.fail_fast(clock).await?
    }
}

impl Trial {
    /// Starts the machines that the scenario asks for: forks of one checkpoint, or boots one after the other.
    pub(super) async fn start_machines(
        &self,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<Machines, Failure> {
        if self.wants_client() {
            client::computer(&self.project)?;
        }
        let cluster = &self.scenario.cluster;
        let networks = Arc::new(Networks::new(cluster));
        let places = Place::all(cluster, &networks, log.evidence)?;
        let forked = match (self.wants_checkpoints(settings), self.never_forks()) {
            (None, _) => None,
            (Some(store), Some(reason)) => {
                note_fallback(store, &InfrastructureError::NeverForks(reason), log);
                None
            }
            (Some(store), None) => {
                let forked = Box::pin(self.fork(store, &places, artifacts, settings)).await;
                match forked {
                    Err(Failure::Infrastructure(why)) => {
                        note_fallback(store, &why, log);
                        None
                    }
                    forked => Some(forked?),
                }
            }
        };
        let all = match forked {
            Some((lease, machines)) => StartedMachine::forked(machines, lease, places),
            None => self.boot(places, artifacts).await?,
        };
        Ok(Machines { networks, all })
    }

    async fn boot(
        &self,
        places: Vec<Place>,
        artifacts: &Artifacts,
    ) -> Result<Vec<StartedMachine>, Failure> {
        let mut all = Vec::new();
        for place in places {
            let keys = KeyPair::generate();
            let spec = place.of(self.spec(artifacts, &keys)?);
            let machine = Machine::start(spec, place.evidence.logs()).await;
            let machine = machine.map_err(|error| machine_error(error, place.evidence.folder()))?;
            all.push(StartedMachine {
                name: place.name,
                evidence: place.evidence,
                machine: Arc::new(machine),
                keys,
                checkpoint: None,
            });
        }
        Ok(all)
    }

    async fn fork(
        &self,
        store: &CheckpointStore,
        places: &[Place],
        artifacts: &Artifacts,
        settings: &Settings,
    ) -> Result<(CheckpointLease, Vec<Machine>), Failure> {
        let maker = Maker {
            trial: self,
            store,
            artifacts,
            settings,
        };
        let fork = async |lease: &CheckpointLease| {
            let fork = async |place: &Place| {
                let spec = place.of(self.spec(artifacts, &lease.keys)?);
                let checkpoint = lease.saved.of(place.name.as_deref())?;
                let machine = Machine::fork(spec, checkpoint, place.evidence.logs()).await;
                machine.map_err(|error| machine_error(error, place.evidence.folder()))
            };
            try_join_all(places.iter().map(fork)).await
        };
        provision::fork(&maker, self.scenario.setups.len(), fork).await
    }

    pub(super) fn wants_checkpoints<'a>(
        &self,
        settings: &'a Settings,
    ) -> Option<&'a CheckpointStore> {
        let fork = self.scenario.start == Start::Fork;
        settings.checkpoints.as_ref().filter(|_| fork)
    }
}

/// The machine cannot be started or forked.
pub(super) fn machine_error(error: MachineError, evidence: &Path) -> Failure {
    let evidence = evidence.to_owned();
    InfrastructureError::Machine { error, evidence }.into()
}

/// Reports that a machine is booted because it cannot be forked. Each reason is reported once per run.
fn note_fallback(store: &CheckpointStore, why: &InfrastructureError, log: &Log<'_>) {
    if store.is_new_reason(&why.reason()) {
        let why = printable(&why.to_string());
        log.emit(EventKind::Note {
            trial: Some(log.trial.clone()),
            text: format!("machines are booted because they cannot be forked: {why}"),
        });
    }
}
