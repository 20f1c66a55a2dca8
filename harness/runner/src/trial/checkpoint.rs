//! Creates the checkpoints that a trial forks: one of the boot, and one after each setup.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use serde_json::json;

use crate::artifacts::Artifacts;
use crate::evidence::Evidence;
use crate::provision::{
    self, Builder, CheckpointKey, CheckpointLease, CheckpointStore, StoreError,
};
use crate::session::{BOOT, LOGIN, Networks, REST, Session, scaled};
use events::EventKind;
use machine::{KeyPair, Machine};

use super::definition::Trial;
use super::failure::{Failure, InfrastructureError};
use super::keep::Kept;
use super::machines::Machines;
use super::outcome;
use super::ready::{accepts_login, booted};
use super::report::FailureReport;
use super::settings::Settings;
use super::setups::SETUP;
use super::start::{Place, StartedMachine, machine_error};
use super::verdict::closed;

/// Creates the checkpoints of a trial.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub(super) trial: &'a Trial,
    pub(super) store: &'a CheckpointStore,
    pub(super) artifacts: &'a Artifacts,
    pub(super) settings: &'a Settings,
}

impl Trial {
    /// Whether the trial boots a machine, for itself or to create its checkpoint.
    pub fn boots(&self, artifacts: &Artifacts, settings: &Settings) -> bool {
        let exists = |store: &CheckpointStore| {
            let key = self.checkpoint_key(artifacts, self.scenario.setups.len());
            key.is_ok_and(|key| store.has(&key))
        };
        let store = self.wants_checkpoints(settings);
        self.never_forks().is_some() || !store.is_some_and(exists)
    }

    /// The keys of its checkpoints, the boot first, then each setup.
    ///
    /// # Errors
    /// The artifacts cannot be read, or this host cannot run the profile.
    pub fn checkpoint_keys(&self, artifacts: &Artifacts) -> Result<Vec<CheckpointKey>, Failure> {
        (0..=self.scenario.setups.len())
            .map(|setups| self.checkpoint_key(artifacts, setups))
            .collect()
    }

    /// The key of the checkpoint after the first `setups` setups.
    pub(super) fn checkpoint_key(
        &self,
        artifacts: &Artifacts,
        setups: usize,
    ) -> Result<CheckpointKey, Failure> {
        let setups = &self.scenario.setups[..setups];
        let placeholder = KeyPair {
            private: String::new(),
            public: "key".into(),
        };
        let spec = self.spec(artifacts, &placeholder)?;
        let mut inputs = provision::boot_inputs(&spec, self.scenario.ready.as_ref())?;
        let content: Vec<_> = setups.iter().map(|setup| &setup.content).collect();
        inputs["setups"] = json!(content);
        let last = match setups.last() {
            Some(setup) => format!("setup {}", setup.name),
            None => "boot".into(),
        };
        let machines = setups.last().map(|setup| &setup.cluster.machines);
        let names = machines.into_iter().flatten().map(|one| one.name.clone());
        Ok(CheckpointKey {
            machines: names.collect(),
            label: format!("{}, {last}", self.profile.name),
            inputs,
        })
    }
}

impl Builder for Maker<'_> {
    type Error = Failure;

    fn store(&self) -> &CheckpointStore {
        self.store
    }

    fn key(&self, setups: usize) -> Result<CheckpointKey, Failure> {
        self.trial.checkpoint_key(self.artifacts, setups)
    }

    fn timeout(&self, setups: usize) -> Duration {
        creation_timeout(setups)
    }

    /// If the boot fails, this trial fails, and the evidence of the boot is kept.
    async fn boot(&self, folder: &Path) -> Result<KeyPair, Failure> {
        let keys = KeyPair::generate();
        let trial = self.trial;
        let evidence = self.evidence(&format!(
            "{}-{}-boot",
            trial.profile.name, trial.scenario.name
        ))?;
        let saved = Box::pin(self.boot_and_save(folder, &keys, &evidence)).await;
        saved.map_err(|failure| closed(&evidence, failure))?;
        Ok(keys)
    }

    async fn set_up(&self, setup: usize, folder: &Path) -> Result<KeyPair, Failure> {
        let trial = self.trial;
        let name = &trial.scenario.setups[setup].name;
        let evidence = self.evidence(&format!("{}-setup-{name}", trial.profile.name))?;
        let saved = Box::pin(self.set_up_and_save(folder, setup, &evidence)).await;
        saved.map_err(|failure| closed(&evidence, failure))
    }

    fn rejected(&self, why: &Failure) {
        self.settings.listeners.emit(EventKind::Note {
            trial: Some(self.trial.name()),
            text: format!("its checkpoint is created again: {}", why.text()),
        });
    }
}

impl Maker<'_> {
    /// An evidence folder of its own, with everything that a replay needs.
    fn evidence(&self, name: &str) -> Result<Evidence, Failure> {
        let evidence = Evidence::begin(&self.settings.evidence, name).map_err(StoreError::from)?;
        self.trial.record(self.artifacts, self.settings, &evidence);
        Ok(evidence)
    }

    async fn boot_and_save(
        &self,
        folder: &Path,
        keys: &KeyPair,
        evidence: &Evidence,
    ) -> Result<(), Failure> {
        let trial = self.trial;
        let spec = trial.spec(self.artifacts, keys)?;
        let machine = Machine::start_savable(spec, folder, evidence.logs()).await;
        let machine = machine.map_err(|error| machine_error(error, evidence.folder()))?;
        let log = trial.log(self.settings, evidence);
        let machine = Arc::new(machine);
        let mut ran = Vec::new();
        let wanted = trial.scenario.ready.as_ref();
        let snapshots = trial.snapshots();
        let mut session = Session::new(Arc::clone(&machine), keys, &snapshots, &trial.project);
        let ready = async {
            booted(&machine, wanted, &mut session).await?;
            let engines = wanted.is_none();
            Ok(machine
                .fail_fast(accepts_login(&machine, keys, engines))
                .await?)
        };
        let ready = log.step(0, 1, "boot, for a checkpoint", ready, &mut ran);
        let ready = ready.await;
        // Open connections would be saved with the machine.
        drop(session);
        if wanted.is_none() || ready.is_err() {
            trial.emit_timeline(self.artifacts, &machine, None, ready.is_ok(), &log);
        }
        if let Err(failure) = ready {
            outcome::screen(&machine, evidence).await;
            let kept = Kept {
                name: None,
                machine: &machine,
                keys,
            };
            let snapshot = trial.keep(&[kept], self.settings, &log).await;
            let report = FailureReport::boot(failure, &ran);
            let failure = report.conclude(trial, &machine, evidence, snapshot);
            machine.stop().await;
            return Err(failure);
        }
        save(&[(&machine, &folder.to_owned())], evidence).await
    }

    async fn set_up_and_save(
        &self,
        folder: &Path,
        number: usize,
        evidence: &Evidence,
    ) -> Result<KeyPair, Failure> {
        let trial = self.trial;
        let setup = &trial.scenario.setups[number];
        let networks = Arc::new(Networks::new(&setup.cluster));
        let places = Place::all(&setup.cluster, &networks, evidence)?;
        let folders = folders(folder, &places)?;
        let fork = async |before: &CheckpointLease| {
            let fork = async |(place, folder): (&Place, &PathBuf)| {
                let spec = place.of(trial.spec(self.artifacts, &before.keys)?);
                let checkpoint = before.saved.of(place.name.as_deref())?;
                let logs = place.evidence.logs();
                let machine = Machine::fork_savable(spec, checkpoint, folder, logs).await;
                machine.map_err(|error| machine_error(error, place.evidence.folder()))
            };
            try_join_all(places.iter().zip(&folders).map(fork)).await
        };
        let (before, machines) = provision::fork(self, number, fork).await?;
        let keys = before.keys.clone();
        let all = StartedMachine::forked(machines, before, places);
        let machines = Machines { networks, all };
        let log = trial.log(self.settings, evidence);
        let snapshots = trial.snapshots();
        let mut sessions = machines.sessions(trial, &snapshots, None);
        let done = Box::pin(trial.run_setup(&machines, &mut sessions, setup, &log)).await;
        if done.is_err() {
            machines.record_failure(trial, &mut sessions, &log).await;
        }
        log.emit(EventKind::Setup {
            trial: trial.name(),
            setup: setup.name.clone(),
            evidence: evidence.folder().to_path_buf(),
            machines: setup.cluster.machine_names().map(str::to_owned).collect(),
            ready: done.is_ok(),
        });
        if let Err(report) = done {
            let snapshot = machines.keep(trial, &sessions, self.settings, &log).await;
            let machine = &sessions[report.machine()].machine;
            let failure = report.conclude(trial, machine, evidence, snapshot);
            machines.stop().await;
            return Err(failure);
        }
        // Open connections would be saved with the machines.
        drop(sessions);
        let all = machines.all.iter().map(|one| &*one.machine).zip(&folders);
        save(&all.collect::<Vec<_>>(), evidence).await?;
        Ok(keys)
    }
}

/// The folder of each machine in the folder of a checkpoint.
fn folders(folder: &Path, places: &[Place]) -> io::Result<Vec<PathBuf>> {
    let of_place = |place: &Place| {
        let Some(name) = &place.name else {
            return Ok(folder.to_owned());
        };
        let folder = provision::of_machine(folder, name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        Ok(folder)
    };
    places.iter().map(of_place).collect()
}

/// How long another process may take to create the checkpoint after this many setups, with all earlier
/// checkpoints. The time is doubled, because a checkpoint that QEMU rejects is created again.
fn creation_timeout(setups: usize) -> Duration {
    let around = LOGIN * 2 + REST;
    let setups = u32::try_from(setups).unwrap_or(u32::MAX);
    let all = BOOT + around + (SETUP + around).saturating_mul(setups);
    scaled(all.saturating_mul(2))
}

/// Saves machines, each in its folder, as one checkpoint and removes their evidence, which is not needed any
/// more.
async fn save(machines: &[(&Machine, &PathBuf)], evidence: &Evidence) -> Result<(), Failure> {
    join_all(
        machines
            .iter()
            .map(|(machine, _)| machine.settle(scaled(REST))),
    )
    .await;
    let all: Vec<_> = machines
        .iter()
        .map(|(machine, folder)| (*machine, folder.as_path()))
        .collect();
    let saved = Machine::save_together(&all).await;
    let folder = evidence.folder();
    saved.map_err(|error| {
        let evidence = folder.to_owned();
        InfrastructureError::Save { error, evidence }
    })?;
    Ok(std::fs::remove_dir_all(folder).map_err(StoreError::from)?)
}
