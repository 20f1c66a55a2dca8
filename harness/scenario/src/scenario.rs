//! Scenarios that passed the lint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use yaml::{ConsoleRules, SourceError};

use super::cluster::Cluster;
use super::file::{MachineFile, Start};
use super::known_failure::KnownFailure;
use super::sabotage::Sabotage;
use super::setup::Setup;
use super::step::{Action, Step, WaitForStep};

/// A scenario that passed the lint.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its file.
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    /// What it proves.
    pub about: String,
    /// The profiles it runs on.
    pub profiles: Vec<String>,
    /// Further profiles, for runs that ask for one of them or for all.
    pub more_profiles: Vec<String>,
    /// Whether only runs that ask for it include it.
    pub nightly: bool,
    /// The machine, as the setups and the scenario define it together.
    pub machine: MachineFile,
    /// The machines of a cluster and the networks between them; none for a scenario with one machine.
    pub cluster: Cluster,
    /// The setups that its machine continues from, the first one first.
    pub setups: Vec<Arc<Setup>>,
    /// Where it starts.
    pub start: Start,
    /// The condition that ends the boot; `None` for the last boot stage.
    pub ready: Option<WaitForStep>,
    /// The timeout of all steps together on the reference host.
    pub timeout: Duration,
    /// Steps that must hold during the whole trial.
    pub invariants: Vec<Step>,
    /// Which console lines fail the trial, and which do not.
    pub console: ConsoleRules,
    /// Files of the machine that a failed trial copies into its evidence.
    pub collect: Vec<String>,
    /// The accepted failure, if any.
    pub known_failure: Option<KnownFailure>,
    /// The steps; at least one.
    pub steps: Vec<Step>,
    /// Changes that must each make it fail.
    pub sabotage: Vec<Sabotage>,
    /// Whether one of these changes is applied.
    pub sabotaged: bool,
    /// System containers that a sabotage disables.
    pub disabled_services: Vec<String>,
    /// Warnings about its file, which do not prevent a run.
    pub warnings: Vec<SourceError>,
}

impl Scenario {
    /// All profiles that it can run on, `profiles` first.
    pub fn all_profiles(&self) -> impl Iterator<Item = &str> {
        let all = self.profiles.iter().chain(&self.more_profiles);
        all.map(String::as_str)
    }

    /// Whether it can run on this profile.
    pub fn may_run_on(&self, profile: &str) -> bool {
        self.all_profiles().any(|name| name == profile)
    }
}

/// The files that these steps send.
pub fn sent_files(steps: &[Step]) -> impl Iterator<Item = &str> {
    steps.iter().filter_map(|step| match &step.action {
        Action::Ssh(step) => step.upload.as_ref()?.from.as_deref(),
        _ => None,
    })
}
