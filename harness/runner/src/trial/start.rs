//! Starts the machine of a trial: a boot, or a fork of a checkpoint.

use std::path::Path;
use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::client;
use crate::history;
use crate::provision::{self, CheckpointLease, CheckpointStore};
use crate::session::{Deadline, LOGIN, Session, StepFailure, scaled};
use base::text::printable;
use events::EventKind;
use machine::{KeyPair, Machine, MachineError};
use scenario::Start;
use scenario::step::WaitForStep;

use super::checkpoint::Maker;
use super::definition::Trial;
use super::failure::{Failure, InfrastructureError};
use super::log::Log;
use super::ready::booted;
use super::settings::Settings;

/// A machine that was started.
pub(super) struct StartedMachine {
    pub(super) machine: Arc<Machine>,
    pub(super) keys: KeyPair,
    /// The checkpoint that it was forked from, which must exist as long as the machine runs.
    checkpoint: Option<CheckpointLease>,
}

impl StartedMachine {
    /// A machine that was forked from a checkpoint.
    pub(super) fn forked(machine: Arc<Machine>, checkpoint: CheckpointLease) -> Self {
        Self {
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
    /// Starts the machine that the scenario asks for.
    pub(super) async fn start_machine(
        &self,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<StartedMachine, Failure> {
        if self.wants_client() {
            client::computer(&self.project)?;
        }
        if let Some(store) = self.wants_checkpoints(settings) {
            let forked = match self.never_forks() {
                Some(reason) => Err(InfrastructureError::NeverForks(reason).into()),
                None => Box::pin(self.fork(store, artifacts, settings, log)).await,
            };
            match forked {
                Err(Failure::Infrastructure(why)) => note_fallback(store, &why, log),
                started => return started,
            }
        }
        let keys = KeyPair::generate();
        let spec = self.spec(artifacts, &keys)?;
        let machine = Machine::start(spec, log.evidence.logs()).await;
        Ok(StartedMachine {
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
            let spec = self.spec(artifacts, &lease.keys)?;
            let machine = Machine::fork(spec, &lease.checkpoint, log.evidence.logs()).await;
            machine.map_err(|error| machine_error(error, log.evidence.folder()))
        };
        let setups = self.scenario.setups.len();
        let (lease, machine) = provision::fork(&maker, setups, fork).await?;
        Ok(StartedMachine::forked(Arc::new(machine), lease))
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
