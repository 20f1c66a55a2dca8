//! What a trial knows: its scenario, its profile and its project.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::client;
use crate::project::Project;
use crate::{provision, spec};
use machine::profile::{Bus, Profile};
use machine::{KeyPair, MachineSpec};
use scenario::{Action, Scenario};
use yaml::closest;

use super::failure::InfrastructureError;

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

impl Trial {
    /// `PROFILE::SCENARIO`.
    pub fn name(&self) -> String {
        format!("{}::{}", self.profile.name, self.scenario.name)
    }

    /// Finds a step by its number (from 1) or its name, and returns its number.
    ///
    /// # Errors
    /// There is no such step. The message lists the steps.
    pub fn find_step(&self, wanted: &str) -> Result<usize, String> {
        let steps = &self.scenario.steps;
        let names: Vec<_> = steps.iter().map(scenario::Step::title).collect();
        let number = wanted
            .parse()
            .ok()
            .filter(|n| (1..=steps.len()).contains(n));
        let named = || names.iter().position(|name| name == wanted).map(|n| n + 1);
        number.or_else(named).ok_or_else(|| {
            let hint = closest(wanted, names.iter().map(String::as_str))
                .map(|near| format!("; hint: did you mean `{near}`?"))
                .unwrap_or_default();
            let lines = names.iter().enumerate();
            let lines: String = lines
                .map(|(n, name)| format!("\n  {}  {name}", n + 1))
                .collect();
            format!(
                "{} has no step `{wanted}`{hint}\nsteps:{lines}",
                self.name()
            )
        })
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

    /// Why its machine cannot be forked on any host. Without this check, each attempt would cost a whole boot.
    pub fn never_forks(&self) -> Option<&'static str> {
        let nvme = self.profile.has_disks_on(Bus::Nvme);
        nvme.then_some("QEMU cannot save a machine with NVMe disks")
    }

    /// Its machine, which accepts this key pair.
    pub(super) fn spec(
        &self,
        artifacts: &Artifacts,
        keys: &KeyPair,
    ) -> Result<MachineSpec, InfrastructureError> {
        let profile = self.profile.resolve(&artifacts.kernel)?;
        Ok(spec::of_scenario(
            &self.scenario,
            profile,
            &self.project,
            artifacts,
            keys,
        )?)
    }

    /// The images that the registry serves at first, each with a hash of its content, and the fingerprint
    /// of the client's root; empty if the trial has neither.
    pub(crate) fn served_images(&self) -> Result<BTreeMap<String, String>, InfrastructureError> {
        let mut served = match &self.scenario.machine.registry {
            Some(wanted) => provision::images(&spec::registry(&self.project, wanted)?.storage)?,
            None => BTreeMap::new(),
        };
        if self.wants_client() {
            let computer = client::computer(&self.project)?;
            served.insert("client".into(), computer.fingerprint.clone());
        }
        Ok(served)
    }

    /// Whether a step uses the client.
    pub(super) fn wants_client(&self) -> bool {
        let steps = &mut self.scenario.steps.iter();
        steps.any(|step| matches!(step.action, Action::Client(_)))
    }

    /// The folder of the snapshots that its steps compare with.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.scenario.file.with_file_name("snapshots")
    }
}
