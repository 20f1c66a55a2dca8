//! Starts the machine of a trial: a boot, or a fork of a checkpoint, which is created if it does not
//! exist.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::artifacts::Artifacts;
use crate::checkpoint::{CheckpointKey, CheckpointLease, CheckpointStore};
use crate::client;
use crate::evidence::Evidence;
use base::hash::Hash;
use events::EventKind;
use machine::profile::{Bus, ResolvedFirmware};
use machine::services::registry::Storage;
use machine::{CardNetwork, Engine, KeyPair, Login, Machine, MachineError};
use scenario::{Start, WaitForStep};
use yaml::ConsoleRules;

use super::deadline::{self, Deadline};
use super::failure_report::FailureReport;
use super::session::Session;
use super::setups::{Maker, save};
use super::step_failure::StepFailure;
use super::{Failure, Log, Settings, Trial, closed, outcome, scaled, steps};

/// The version of the checkpoint inputs. Increment it when older checkpoints become unusable.
const VERSION: u32 = 9;

/// Separates the cause from the evidence folder in an infrastructure error.
const EVIDENCE: &str = "\nevidence: ";

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
        if self.is_fork() { "fork" } else { "boot" }
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
        let limit = Deadline::within(scaled(deadline::LOGIN));
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
            client::computer(&self.project).map_err(Failure::Infrastructure)?;
        }
        if let Some(store) = self.wants_checkpoints(settings) {
            let forked = match self.never_forks() {
                Some(reason) => Err(Failure::Infrastructure(reason.into())),
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
            machine: Arc::new(machine.map_err(|error| infrastructure(error, log.evidence))?),
            keys,
            checkpoint: None,
        })
    }

    /// Whether the trial boots a machine, for itself or to create its checkpoint.
    pub fn boots(&self, artifacts: &Artifacts, settings: &Settings) -> bool {
        let exists = |store: &CheckpointStore| {
            let key = self.checkpoint_key(artifacts, self.scenario.setups.len());
            key.is_ok_and(|key| store.has(&key))
        };
        let store = self.wants_checkpoints(settings);
        self.never_forks().is_some() || !store.is_some_and(exists)
    }

    async fn fork(
        &self,
        store: &CheckpointStore,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<StartedMachine, Failure> {
        let maker = Maker {
            store,
            artifacts,
            settings,
        };
        let fork = async |lease: &CheckpointLease| {
            let spec = self.spec(artifacts, &lease.keys)?;
            let machine = Machine::fork(spec, &lease.checkpoint, log.evidence.logs()).await;
            machine.map_err(|error| infrastructure(error, log.evidence))
        };
        let setups = self.scenario.setups.len();
        let (lease, machine) = self.fork_checkpoint(maker, setups, fork).await?;
        Ok(StartedMachine::forked(Arc::new(machine), lease))
    }

    fn wants_checkpoints<'a>(&self, settings: &'a Settings) -> Option<&'a CheckpointStore> {
        let fork = self.scenario.start == Start::Fork;
        settings.checkpoints.as_ref().filter(|_| fork)
    }

    /// Why its machine cannot be forked on any host. Without this check, each attempt would cost a whole boot.
    pub fn never_forks(&self) -> Option<&'static str> {
        let nvme = self.profile.has_disks_on(Bus::Nvme);
        nvme.then_some("QEMU cannot save a machine with NVMe disks")
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
        let mut inputs = self.inputs(artifacts)?;
        let content: Vec<_> = setups.iter().map(|setup| &setup.content).collect();
        inputs["setups"] = json!(content);
        let last = match setups.last() {
            Some(setup) => format!("setup {}", setup.name),
            None => "boot".into(),
        };
        Ok(CheckpointKey {
            label: format!("{}, {last}", self.profile.name),
            inputs,
        })
    }

    /// Everything that the checkpoint of a boot depends on.
    fn inputs(&self, artifacts: &Artifacts) -> Result<Value, Failure> {
        let placeholder = KeyPair {
            private: String::new(),
            public: "key".into(),
        };
        let spec = self.spec(artifacts, &placeholder)?;
        let mut profile = spec.profile.profile.clone();
        profile.about.clear();
        profile.budgets.clear();
        profile.console = ConsoleRules::default();
        let initrd = spec.initrd.as_deref().map(content).transpose()?;
        let mut inputs = json!({
            "version": VERSION,
            "kernel": content(&spec.kernel)?,
            "initrd": initrd,
            "qemu": spec.profile.qemu_version,
            "accelerator": format!("{:?}", spec.profile.accelerator),
            "processor": spec.profile.accelerator.processor(),
            "firmware": firmware(&spec.profile.firmware)?,
            "profile": profile,
            "kernel arguments": spec.kernel_arguments(),
            "memory": spec.memory_mib(),
            "disks": spec.disks,
            "user data": spec.user_data,
        });
        if !spec.volumes.is_empty() {
            inputs["volumes"] = json!(spec.volumes);
        }
        if !spec.metadata.is_empty() {
            inputs["metadata"] = json!(spec.metadata);
        }
        if spec.first_card != CardNetwork::default() || !spec.cards.is_empty() {
            inputs["networks"] = json!([spec.first_card, spec.cards]);
        }
        if let Some(registry) = &spec.registry {
            inputs["registry"] = json!(images(&registry.storage)?);
            inputs["account"] = json!(registry.account.is_some());
        }
        if let Some(ready) = &self.scenario.ready {
            inputs["ready"] = json!(ready);
        }
        if spec.outside {
            inputs["outside"] = true.into();
        }
        if spec.balloon {
            inputs["balloon"] = true.into();
        }
        Ok(inputs)
    }

    /// Boots a machine, waits until it is ready, and saves it. If the boot fails, this trial
    /// fails, and the evidence of the boot is kept.
    pub(super) async fn boot_checkpoint(
        &self,
        maker: Maker<'_>,
        folder: &Path,
    ) -> Result<KeyPair, Failure> {
        let keys = KeyPair::generate();
        let name = format!("{}-{}-boot", self.profile.name, self.scenario.name);
        let evidence = Evidence::begin(&maker.settings.evidence, &name)?;
        self.record(maker.artifacts, maker.settings, &evidence);
        let saved = Box::pin(self.boot_and_save(maker, folder, &keys, &evidence)).await;
        saved.map_err(|failure| closed(&evidence, failure))?;
        Ok(keys)
    }

    async fn boot_and_save(
        &self,
        maker: Maker<'_>,
        folder: &Path,
        keys: &KeyPair,
        evidence: &Evidence,
    ) -> Result<(), Failure> {
        let spec = self.spec(maker.artifacts, keys)?;
        let machine = Machine::start_savable(spec, folder, evidence.logs()).await;
        let machine = machine.map_err(|error| infrastructure(error, evidence))?;
        let log = self.log(maker.settings, evidence, self.name());
        let machine = Arc::new(machine);
        let mut ran = Vec::new();
        let wanted = self.scenario.ready.as_ref();
        let snapshots = self.snapshots();
        let mut session = Session::new(Arc::clone(&machine), keys, &snapshots, &self.project);
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
            self.emit_timeline(maker.artifacts, &machine, ready.is_ok(), &log);
        }
        if let Err(failure) = ready {
            outcome::screen(&machine, evidence).await;
            let snapshot = self.keep(&machine, keys, maker.settings, &log).await;
            let report = FailureReport::boot(failure, &ran);
            let failure = report.conclude(self, &machine, evidence, snapshot);
            machine.stop().await;
            return Err(failure);
        }
        save(&machine, folder, evidence).await
    }
}

/// An infrastructure failure that names the evidence folder.
pub(super) fn infrastructure(why: impl Display, evidence: &Evidence) -> Failure {
    let folder = evidence.folder().display();
    Failure::Infrastructure(format!("{why}{EVIDENCE}{folder}"))
}

/// Reports that a machine is booted because it cannot be forked. Each reason is reported once per run.
fn note_fallback(store: &CheckpointStore, why: &str, log: &Log<'_>) {
    // The evidence folder differs each time and is not part of the reason.
    let reason = why.split_once(EVIDENCE).map_or(why, |(reason, _)| reason);
    if store.is_new_reason(reason) {
        log.emit(EventKind::Note {
            trial: Some(log.trial.clone()),
            text: format!("machines are booted because they cannot be forked: {why}"),
        });
    }
}

/// Waits until a started machine fulfils `wanted`, or has booted.
async fn booted(
    machine: &Machine,
    wanted: Option<&WaitForStep>,
    session: &mut Session<'_>,
) -> Result<(), StepFailure> {
    let limit = scaled(deadline::BOOT);
    let Some(wanted) = wanted else {
        return Ok(machine.wait_ready(limit).await?);
    };
    let limit = Deadline::within(limit);
    let wait = async { Ok(steps::wait::perform(wanted, session, &limit).await) };
    machine.fail_fast(wait).await?
}

/// Waits until an SSH login succeeds. With `engines`, and if the guest reports boot events, also until both
/// Docker engines answer.
async fn accepts_login(
    machine: &Machine,
    keys: &KeyPair,
    engines: bool,
) -> Result<(), MachineError> {
    let login = Login::Key {
        user: machine::RANCHEROS.user.into(),
        private_key: keys.private.clone(),
    };
    let ssh = machine.ssh(&login, scaled(deadline::LOGIN)).await?;
    if !engines || machine.boot_events().is_empty() {
        return Ok(());
    }
    for engine in [Engine::System, Engine::User] {
        let docker = machine.docker(&ssh, engine).await?;
        let answered = docker.ping().await;
        answered.map_err(|error| MachineError::Other(format!("{engine:?} docker: {error}")))?;
    }
    Ok(())
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Infrastructure(format!("cannot create the checkpoint: {error}"))
    }
}

/// The content of the firmware files: an upgrade of the host changes the content and keeps the names.
fn firmware(files: &ResolvedFirmware) -> Result<Value, Failure> {
    Ok(match files {
        // QEMU's built-in firmware is identified by the version of QEMU.
        ResolvedFirmware::Builtin => "Builtin".into(),
        ResolvedFirmware::Flash { code, vars } => json!([content(code)?, content(vars)?]),
        ResolvedFirmware::Bios(image) => content(image)?.into(),
    })
}

/// The images that a registry serves at first, each with a hash of its content.
pub(super) fn images(storage: &Storage) -> Result<BTreeMap<String, String>, Failure> {
    let images = storage.images();
    images
        .map(|(name, config)| Ok((name, content(config)?)))
        .collect()
}

/// The hash of a file's content. Each file is hashed once per process, because all trials boot the same files.
pub(super) fn content(file: &Path) -> Result<String, Failure> {
    static KNOWN: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hash) = known.get(file) {
        return Ok(hash.clone());
    }
    let hash = Hash::default().file(file).map(Hash::finish);
    let hash =
        hash.map_err(|error| Failure::Infrastructure(format!("{}: {error}", file.display())))?;
    known.insert(file.to_path_buf(), hash.clone());
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_input_depends_on_the_content_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let flash = |code: &str, vars: &str| ResolvedFirmware::Flash {
            code: file(&format!("{code}-{vars}.code"), code),
            vars: file(&format!("{code}-{vars}.vars"), vars),
        };
        let old = firmware(&flash("old", "empty")).unwrap();
        assert_ne!(old, firmware(&flash("new", "empty")).unwrap());
        assert_ne!(old, firmware(&flash("old", "other")).unwrap());
        let bios = |name: &str, text: &str| firmware(&ResolvedFirmware::Bios(file(name, text)));
        assert_eq!(bios("one", "old").unwrap(), bios("two", "old").unwrap());
        assert_ne!(bios("three", "old").unwrap(), bios("four", "new").unwrap());
        assert!(firmware(&ResolvedFirmware::Bios("/nowhere/uefi.fd".into())).is_err());
    }
}
