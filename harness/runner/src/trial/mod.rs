//! A trial: one scenario on one profile, from power-on to verdict.
//!
//! Each step runs under [`Machine::fail_fast`](machine::Machine::fail_fast), so a guest panic
//! fails it immediately, and under a deadline. Events are recorded as they happen. The report of a failed trial
//! must explain the failure without a second run.

mod active_faults;
mod before;
mod begin;
mod collect;
mod deadline;
mod failure_report;
mod import;
mod invariants;
mod judge;
mod keep;
mod log;
mod outcome;
mod record;
mod replay;
mod run;
mod session;
mod setups;
mod snapshot;
mod spec;
mod step_failure;
mod steps;
mod timeline;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::artifacts::Artifacts;
use crate::checkpoint::CheckpointStore;
use crate::client;
use crate::evidence::Evidence;
use crate::project::Project;
use events::Baseline;
use events::SnapshotOutcome;
use events::{EventKind, Listeners, StepHead};
use host::speed::HostSpeed;
use machine::profile::Profile;
use scenario::{Action, Scenario, Step};

use base::text::printable;

pub use before::Stopped;
pub use keep::{LIMIT_MIB, limit, sweep, write_key};
use log::{Log, close, closed, ended, remove};
pub use replay::{PastOutcome, PastTrial};
pub use snapshot::accept_all as accept_snapshots;

/// A scenario on a profile.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The hardware profile of the machine.
    pub profile: Profile,
    /// The scenario to run.
    pub scenario: Arc<Scenario>,
    /// The project that provides the images, and that paths are shown relative to.
    pub project: Project,
}

/// How a trial is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The parent of evidence folders.
    pub evidence: PathBuf,
    /// Whether to keep the evidence of a trial that passed.
    pub keep: bool,
    /// The listeners of its events.
    pub listeners: Listeners,
    /// The seed of random patterns; the default is a new seed for each trial.
    pub seed: Option<u64>,
    /// The checkpoints to fork from; `None` boots every machine.
    pub checkpoints: Option<CheckpointStore>,
    /// The recorded durations of passed trials and steps.
    pub baseline: Baseline,
    /// The size limit of a failure snapshot in bytes; 0 disables failure snapshots.
    pub machine_limit: u64,
}

impl Settings {
    /// These settings with a seed, drawn now if none was given.
    fn seeded(&self) -> Self {
        Self {
            seed: self.seed.or_else(|| Some(fastrand::u64(..))),
            ..self.clone()
        }
    }
}

/// Why a trial did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The machine did not do what the scenario expects.
    Failed(FailedVerdict),
    /// The harness or the host failed, so there is no verdict.
    Infrastructure(String),
}

/// The verdict of a failed trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedVerdict {
    /// The full text of the failure.
    pub text: String,
    /// The number of the failed step, from 1; `None` if the machine did not become ready.
    pub step: Option<usize>,
    /// Whether a failure snapshot was saved.
    pub machine: SnapshotOutcome,
}

impl Failure {
    /// The full text of the failure.
    pub fn text(&self) -> &str {
        match self {
            Self::Failed(failed) => &failed.text,
            Self::Infrastructure(text) => text,
        }
    }

    /// Escapes control characters: parts of the text come from a guest.
    fn printable(self) -> Self {
        match self {
            Self::Failed(failed) => Self::Failed(FailedVerdict {
                text: printable(&failed.text),
                ..failed
            }),
            Self::Infrastructure(text) => Self::Infrastructure(printable(&text)),
        }
    }
}

impl Trial {
    /// `PROFILE::SCENARIO`.
    pub fn name(&self) -> String {
        format!("{}::{}", self.profile.name, self.scenario.name)
    }

    /// Starts the machine, runs the steps and returns the verdict.
    ///
    /// # Errors
    /// The trial failed, or there is no verdict.
    pub async fn run(&self, artifacts: &Artifacts, settings: &Settings) -> Result<(), Failure> {
        let settings = &settings.seeded();
        let evidence = self.evidence(artifacts, settings)?;
        let log = self.log(settings, &evidence, self.name());
        self.announce(&log);
        let verdict = Box::pin(self.verdict(artifacts, settings, &log)).await;
        let closed = close(&evidence, verdict);
        let kept = closed.is_err() || settings.keep;
        // This event is not recorded in the evidence: the folder has `result.json`, and may be removed
        // below. Listeners can still read it.
        settings.listeners.emit(ended(&log, &closed, kept));
        if !kept {
            remove(&log);
        }
        closed
    }

    /// Creates the evidence folder, with everything that a replay needs.
    fn evidence(&self, artifacts: &Artifacts, settings: &Settings) -> Result<Evidence, Failure> {
        let folder = format!("{}-{}", self.profile.name, self.scenario.name);
        let evidence = Evidence::begin(&settings.evidence, &folder).map_err(|error| {
            let folder = settings.evidence.display();
            Failure::Infrastructure(format!(
                "cannot create an evidence folder in {folder}: {error}"
            ))
        })?;
        // A sabotaged trial is run again by `harness prove`, not by a replay.
        if !self.scenario.sabotaged {
            self.record(artifacts, settings, &evidence);
        }
        Ok(evidence)
    }

    fn announce(&self, log: &Log<'_>) {
        log.emit(EventKind::TrialBegins {
            trial: self.name(),
            about: self.scenario.about.clone(),
            file: self.scenario.file.clone(),
            steps: self.scenario.steps.iter().map(head).collect(),
            evidence: log.evidence.folder().to_path_buf(),
        });
    }

    /// Checks that this host can serve the registry, if the scenario has one.
    ///
    /// # Errors
    /// What is missing.
    pub fn registry_within_reach(&self) -> Result<(), String> {
        let Some(wanted) = &self.scenario.machine.registry else {
            return Ok(());
        };
        machine::services::registry::check_host()?;
        let mut images = wanted.images.iter();
        images.try_for_each(|name| {
            images::within_reach(self.project.root(), name).map_err(|why| why.short())
        })
    }

    /// The images that the registry serves at first, each with a hash of its content, and the fingerprint
    /// of the client's root; empty if the trial has neither.
    fn served_images(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut served = match &self.scenario.machine.registry {
            Some(wanted) => begin::images(&spec::registry(&self.project, wanted)?.storage)?,
            None => BTreeMap::new(),
        };
        if self.wants_client() {
            let computer = client::computer(&self.project).map_err(Failure::Infrastructure)?;
            served.insert("client".into(), computer.fingerprint.clone());
        }
        Ok(served)
    }

    /// Whether a step uses the client.
    fn wants_client(&self) -> bool {
        let steps = &mut self.scenario.steps.iter();
        steps.any(|step| matches!(step.action, Action::Client(_)))
    }

    /// The folder of the snapshots that its steps compare with.
    fn snapshots(&self) -> PathBuf {
        self.scenario.file.with_file_name("snapshots")
    }

    fn cuts_power(&self) -> bool {
        let steps = &mut self.scenario.steps.iter();
        steps.any(|step| matches!(step.action, Action::PowerCut(_)))
    }

    fn log<'a>(&self, settings: &'a Settings, evidence: &'a Evidence, trial: String) -> Log<'a> {
        Log {
            trial,
            evidence,
            listeners: &settings.listeners,
            baseline: &settings.baseline,
            begin: Instant::now(),
        }
    }
}

/// Converts a duration of the reference host to this host.
fn scaled(duration: Duration) -> Duration {
    HostSpeed::of_host().apply(duration)
}

fn head(step: &Step) -> StepHead {
    StepHead {
        line: step.line,
        title: step.title(),
    }
}

#[cfg(test)]
mod tests;
