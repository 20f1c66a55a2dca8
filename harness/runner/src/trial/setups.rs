//! Setups: what a machine runs before the first step. Each setup is saved as a checkpoint, or all
//! setups run in the machine of the trial.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::artifacts::Artifacts;
use crate::checkpoint::{CheckpointLease, CheckpointStore};
use crate::evidence::Evidence;
use events::EventKind;
use machine::{KeyPair, Machine};
use scenario::Setup;

use super::begin::{StartedMachine, infrastructure};
use super::deadline::{self, Deadline, StepTimeout};
use super::failure_report::{FailureReport, FinishedStep};
use super::run::within;
use super::session::Session;
use super::{Failure, Log, Settings, Trial, closed, outcome, scaled};

/// The timeout for all steps of a setup, on the reference host.
const SETUP: Duration = Duration::from_secs(600);

/// What the creation of checkpoints needs.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub(super) store: &'a CheckpointStore,
    pub(super) artifacts: &'a Artifacts,
    pub(super) settings: &'a Settings,
}

impl Trial {
    /// Returns the checkpoint after the first `setups` setups. If it does not exist, it is created from the
    /// previous checkpoint.
    pub(super) async fn checkpoint(
        &self,
        maker: Maker<'_>,
        setups: usize,
    ) -> Result<CheckpointLease, Failure> {
        let key = self.checkpoint_key(maker.artifacts, setups)?;
        let make = async |folder: &Path| match setups.checked_sub(1) {
            None => self.boot_checkpoint(maker, folder).await,
            Some(last) => Box::pin(self.setup_checkpoint(maker, folder, last)).await,
        };
        maker
            .store
            .get_or_create(&key, creation_timeout(setups), make)
            .await
    }

    /// Forks the checkpoint after the first `setups` setups. If QEMU rejects the saved state, the checkpoint is
    /// created again once.
    pub(super) async fn fork_checkpoint(
        &self,
        maker: Maker<'_>,
        setups: usize,
        fork: impl AsyncFn(&CheckpointLease) -> Result<Machine, Failure>,
    ) -> Result<(CheckpointLease, Machine), Failure> {
        let lease = self.checkpoint(maker, setups).await?;
        let refused = match fork(&lease).await {
            Ok(machine) => return Ok((lease, machine)),
            Err(failure) => failure,
        };
        drop(lease);
        let name = self.checkpoint_key(maker.artifacts, setups)?.name();
        if !maker.store.remove(&name) {
            return Err(refused);
        }
        maker.settings.listeners.emit(EventKind::Note {
            trial: Some(self.name()),
            text: format!("its checkpoint is created again: {}", refused.text()),
        });
        let lease = self.checkpoint(maker, setups).await?;
        let machine = fork(&lease).await?;
        Ok((lease, machine))
    }

    /// Forks the checkpoint before a setup, runs the setup, and saves the machine.
    async fn setup_checkpoint(
        &self,
        maker: Maker<'_>,
        folder: &Path,
        number: usize,
    ) -> Result<KeyPair, Failure> {
        let setup = &self.scenario.setups[number];
        let name = format!("{}-setup-{}", self.profile.name, setup.name);
        let evidence = Evidence::begin(&maker.settings.evidence, &name)?;
        self.record(maker.artifacts, maker.settings, &evidence);
        let saved = Box::pin(self.set_up_and_save(maker, folder, number, &evidence)).await;
        saved.map_err(|failure| closed(&evidence, failure))
    }

    async fn set_up_and_save(
        &self,
        maker: Maker<'_>,
        folder: &Path,
        number: usize,
        evidence: &Evidence,
    ) -> Result<KeyPair, Failure> {
        let setup = &self.scenario.setups[number];
        let fork = async |before: &CheckpointLease| {
            let spec = self.spec(maker.artifacts, &before.keys)?;
            let machine =
                Machine::fork_savable(spec, &before.checkpoint, folder, evidence.logs()).await;
            machine.map_err(|error| infrastructure(error, evidence))
        };
        let (before, machine) = self.fork_checkpoint(maker, number, fork).await?;
        let started = StartedMachine::forked(Arc::new(machine), before);
        let log = self.log(maker.settings, evidence, self.name());
        let done = Box::pin(self.run_setup(&started, setup, &log)).await;
        if done.is_err() {
            outcome::screen(&started.machine, evidence).await;
        }
        log.emit(EventKind::Setup {
            trial: self.name(),
            setup: setup.name.clone(),
            evidence: evidence.folder().to_path_buf(),
            ready: done.is_ok(),
        });
        if let Err(report) = done {
            let snapshot = self
                .keep(&started.machine, &started.keys, maker.settings, &log)
                .await;
            let failure = report.conclude(self, &started.machine, evidence, snapshot);
            started.machine.stop().await;
            return Err(failure);
        }
        save(&started.machine, folder, evidence).await?;
        Ok(started.keys)
    }

    async fn run_setup(
        &self,
        started: &StartedMachine,
        setup: &Arc<Setup>,
        log: &Log<'_>,
    ) -> Result<(), FailureReport> {
        let mut ran = Vec::new();
        let snapshots = self.snapshots();
        let mut session = Session::new(
            Arc::clone(&started.machine),
            &started.keys,
            &snapshots,
            &self.project,
        );
        let title = format!("fork, for the setup {}", setup.name);
        log.step(0, 1, &title, started.ready(None, &mut session), &mut ran)
            .await
            .map_err(|failure| FailureReport::boot(failure, &ran))?;
        self.set_up(setup, &mut session, log, &mut ran).await
    }

    /// Runs the steps of a setup.
    pub(super) async fn set_up(
        &self,
        setup: &Arc<Setup>,
        session: &mut Session<'_>,
        log: &Log<'_>,
        ran: &mut Vec<FinishedStep>,
    ) -> Result<(), FailureReport> {
        let whole = Deadline::within(scaled(SETUP));
        for (number, step) in setup.steps.iter().enumerate() {
            let title = format!("setup {}: {}", setup.name, step.title());
            let work = within(step, session, &whole, StepTimeout::unrecorded(step));
            log.step(0, step.line, &title, work, ran)
                .await
                .map_err(|failure| FailureReport::setup(failure, setup, number, ran))?;
        }
        Ok(())
    }
}

/// How long another process may take to create the checkpoint after this many setups, with all earlier
/// checkpoints. The time is doubled, because a checkpoint that QEMU rejects is created again.
fn creation_timeout(setups: usize) -> Duration {
    let around = deadline::LOGIN * 2 + deadline::REST;
    let setups = u32::try_from(setups).unwrap_or(u32::MAX);
    let all = deadline::BOOT + around + (SETUP + around).saturating_mul(setups);
    scaled(all.saturating_mul(2))
}

/// Saves a machine as a checkpoint and removes its evidence, which is not needed any more.
pub(super) async fn save(
    machine: &Machine,
    folder: &Path,
    evidence: &Evidence,
) -> Result<(), Failure> {
    machine.settle(scaled(deadline::REST)).await;
    let saved = machine.save(folder).await;
    saved.map_err(|error| {
        infrastructure(format!("cannot create the checkpoint: {error}"), evidence)
    })?;
    Ok(std::fs::remove_dir_all(evidence.folder())?)
}
