//! A trial: one scenario on one profile, from power-on to verdict.
//!
//! Each step runs under [`Machine::guard`](machine::Machine::guard), so a panic of the guest
//! ends it at once, and under a deadline. What happened is written down as it happens; a red trial
//! says all that one needs to know without running it again.

mod before;
mod begin;
mod broken;
mod collect;
mod deadline;
mod fault;
mod import;
mod invariants;
mod judge;
mod keep;
mod log;
mod outcome;
mod record;
mod red_verdict;
mod replay;
mod run;
mod session;
mod setups;
mod snapshot;
mod spec;
mod steps;
mod timeline;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::artifacts::Artifacts;
use crate::checkpoint::Store;
use crate::client;
use crate::evidence::Evidence;
use crate::project::Project;
use events::Baseline;
use events::Fate;
use events::{Listeners, StepHead, What};
use host::speed::Scale;
use machine::profile::Profile;
use scenario::{Action, Scenario, Step};

use base::text::printable;

pub use before::Stopped;
pub use keep::{LIMIT_MIB, LIMIT_VARIABLE, limit, sweep, write_key};
use log::{Log, close, closed, ended, remove};
pub use replay::{Ended, Past};
pub use snapshot::accept_all as accept_snapshots;

/// What is tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The machine.
    pub profile: Profile,
    /// What must hold on it.
    pub scenario: Arc<Scenario>,
}

/// How it is tried.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where evidence folders go.
    pub evidence: PathBuf,
    /// Keep the evidence of a trial that passed, too.
    pub keep: bool,
    /// Who is told how it goes.
    pub listeners: Listeners,
    /// What random patterns are drawn from; another one each time unless given.
    pub seed: Option<u64>,
    /// Machines that are ready, to go on from; none has every machine booted.
    pub checkpoints: Option<Store>,
    /// How long steps take when they pass.
    pub usual: Baseline,
    /// The machine of a red trial is kept in at most so many bytes; 0 keeps none.
    pub machine_limit: u64,
}

impl Settings {
    /// The same with a seed, which is drawn now where none was given.
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
    Red(RedVerdict),
    /// There was no machine to judge.
    Infrastructure(String),
}

/// A machine that did not do what the scenario expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedVerdict {
    /// All there is to say.
    pub text: String,
    /// The number of the red step, the first is 1; none where the machine did not become ready.
    pub step: Option<usize>,
    /// What became of the machine.
    pub machine: Fate,
}

impl Failure {
    /// All there is to say.
    pub fn text(&self) -> &str {
        match self {
            Self::Red(red) => &red.text,
            Self::Infrastructure(text) => text,
        }
    }

    /// The same in letters that act on nothing: some of them are a guest's.
    fn printable(self) -> Self {
        match self {
            Self::Red(red) => Self::Red(RedVerdict {
                text: printable(&red.text),
                ..red
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

    /// Boots the machine, runs the steps, judges.
    ///
    /// # Errors
    /// The verdict is red, or none could be had.
    pub async fn run(&self, artifacts: &Artifacts, settings: &Settings) -> Result<(), Failure> {
        let settings = &settings.seeded();
        let evidence = self.evidence(artifacts, settings)?;
        let log = self.log(settings, &evidence, self.name());
        self.announce(&log);
        let verdict = Box::pin(self.verdict(artifacts, settings, &log)).await;
        let closed = close(&evidence, verdict);
        let kept = closed.is_err() || settings.keep;
        // Not written down: the folder has its own last word, and may be gone in a moment. It is
        // still there for who listens.
        settings.listeners.tell(ended(&log, &closed, kept));
        if !kept {
            remove(&log);
        }
        closed
    }

    /// A new evidence folder, with what it takes to run the trial again.
    fn evidence(&self, artifacts: &Artifacts, settings: &Settings) -> Result<Evidence, Failure> {
        let folder = format!("{}-{}", self.profile.name, self.scenario.name);
        let evidence = Evidence::begin(&settings.evidence, &folder).map_err(|error| {
            let folder = settings.evidence.display();
            Failure::Infrastructure(format!("no evidence can be written to {folder}: {error}"))
        })?;
        // One that is red on purpose is run again with what makes it so.
        if !self.scenario.sabotaged {
            self.record(artifacts, settings, &evidence);
        }
        Ok(evidence)
    }

    fn announce(&self, log: &Log<'_>) {
        log.tell(What::TrialBegins {
            trial: self.name(),
            about: self.scenario.about.clone(),
            file: self.scenario.file.clone(),
            steps: self.scenario.steps.iter().map(head).collect(),
            evidence: log.evidence.folder().to_path_buf(),
        });
    }

    /// Whether this host can give the machine its registry, if it wants one.
    ///
    /// # Errors
    /// What is missing.
    pub fn registry_within_reach(&self) -> Result<(), String> {
        let Some(wanted) = &self.scenario.machine.registry else {
            return Ok(());
        };
        machine::services::registry::check_host()?;
        let root = Project::find();
        let mut images = wanted.images.iter();
        images
            .try_for_each(|name| images::within_reach(root.root(), name).map_err(|why| why.short()))
    }

    /// What the machine's registry serves at first in this tree, each image with a hash of what it
    /// holds, and the root of a person's computer beside it; nothing where it has neither.
    fn served_images(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut served = match &self.scenario.machine.registry {
            Some(wanted) => begin::images(&spec::registry(wanted)?.storage)?,
            None => BTreeMap::new(),
        };
        if self.wants_client() {
            let computer = client::computer().map_err(Failure::Infrastructure)?;
            served.insert("client".into(), computer.fingerprint.clone());
        }
        Ok(served)
    }

    /// Whether steps use a person's computer.
    fn wants_client(&self) -> bool {
        let steps = &mut self.scenario.steps.iter();
        steps.any(|step| matches!(step.action, Action::Client(_)))
    }

    /// Where the snapshots of its steps are.
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
            usual: &settings.usual,
            begin: Instant::now(),
        }
    }
}

/// A time on the reference host, on this one.
fn scaled(time: Duration) -> Duration {
    Scale::of_host().apply(time)
}

fn head(step: &Step) -> StepHead {
    StepHead {
        line: step.line,
        what: step.title(),
    }
}

#[cfg(test)]
mod tests;
