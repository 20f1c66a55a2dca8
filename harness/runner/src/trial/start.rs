//! Starts the machine of a trial: a boot, or a fork of a checkpoint.

use std::path::Path;
use std::sync::Arc;

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
use scenario::Start;
use scenario::step::WaitForStep;

use super::checkpoint::Maker;
use super::definition::Trial;
use super::failure::{Failure, InfrastructureError};
use super::log::Log;
use super::machines::Machines;
use super::ready::booted;
use super::settings::Settings;

/// The place of a machine among others.
#[derive(Default)]
struct Place {
    links: Vec<Link>,
    names: Names,
}

impl Place {
    fn of(&self, spec: MachineSpec) -> MachineSpec {
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
    checkpoint: Option<CheckpointLease>,
}

impl StartedMachine {
    /// A machine that was forked from a checkpoint.
    pub(super) fn forked(
        machine: Arc<Machine>,
        checkpoint: CheckpointLease,
        evidence: &Evidence,
    ) -> Self {
        Self {
            name: None,
            evidence: evidence.clone(),
            machine,
            keys: checkpoint.keys.clone(),
            checkpoint: Some(checkpoint),
        }
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
    /// Starts the machines that the scenario asks for, one after the other: the first one creates the
    /// checkpoint that all are forked from.
    pub(super) async fn start_machines(
        &self,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<Machines, Failure> {
        if self.wants_client() {
            client::computer(&self.project)?;
        }
        let networks = Arc::new(Networks::new(&self.scenario));
        let mut all = Vec::new();
        for machine in &self.scenario.machines {
            let evidence = log.evidence.of_machine(&machine.name)?;
            let log = log.of_machine(&evidence);
            let place = Place {
                links: networks.links(&self.scenario, machine),
                names: Networks::names(&self.scenario, machine),
            };
            let started = self
                .start_machine(&place, artifacts, settings, &log)
                .await?;
            let name = Some(machine.name.clone());
            all.push(StartedMachine { name, ..started });
        }
        if all.is_empty() {
            let alone = Place::default();
            all.push(self.start_machine(&alone, artifacts, settings, log).await?);
        }
        Ok(Machines { networks, all })
    }

    async fn start_machine(
        &self,
        place: &Place,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<StartedMachine, Failure> {
        if let Some(store) = self.wants_checkpoints(settings) {
            let forked = match self.never_forks() {
                Some(reason) => Err(InfrastructureError::NeverForks(reason).into()),
                None => Box::pin(self.fork(store, place, artifacts, settings, log)).await,
            };
            match forked {
                Err(Failure::Infrastructure(why)) => note_fallback(store, &why, log),
                started => return started,
            }
        }
        let keys = KeyPair::generate();
        let spec = place.of(self.spec(artifacts, &keys)?);
        let machine = Machine::start(spec, log.evidence.logs()).await;
        Ok(StartedMachine {
            name: None,
            evidence: log.evidence.clone(),
            machine: Arc::new(
                machine.map_err(|error| machine_error(error, log.evidence.folder()))?,
            ),
            keys,
            checkpoint: None,
        })
    }

    async fn fork(
        &self,
        store: &CheckpointStore,
        place: &Place,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<StartedMachine, Failure> {
        let maker = Maker {
            trial: self,
            store,
            artifacts,
            settings,
        };
        let fork = async |lease: &CheckpointLease| {
            let spec = place.of(self.spec(artifacts, &lease.keys)?);
            let machine = Machine::fork(spec, &lease.checkpoint, log.evidence.logs()).await;
            machine.map_err(|error| machine_error(error, log.evidence.folder()))
        };
        let setups = self.scenario.setups.len();
        let (lease, machine) = provision::fork(&maker, setups, fork).await?;
        let machine = Arc::new(machine);
        Ok(StartedMachine::forked(machine, lease, log.evidence))
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
