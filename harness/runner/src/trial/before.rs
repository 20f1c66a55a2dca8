//! Runs a trial up to one of its steps and leaves the machine running, so that a user can inspect it.

use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::evidence::Evidence;
use machine::{KeyPair, Machine};

use super::definition::Trial;
use super::failure::Failure;
use super::machines::Machines;
use super::settings::Settings;
use super::verdict::closed;

/// A trial that stopped before a step.
pub struct Stopped {
    machines: Machines,
    /// Its evidence folder.
    pub evidence: Evidence,
}

impl Stopped {
    /// Its machines.
    pub fn machines(&self) -> impl Iterator<Item = StoppedMachine<'_>> {
        self.machines.all.iter().map(|one| StoppedMachine {
            name: one.name.as_deref(),
            machine: &one.machine,
            keys: &one.keys,
            evidence: &one.evidence,
        })
    }

    /// A machine by its name; `None` is the only one.
    pub fn machine(&self, name: Option<&str>) -> Option<StoppedMachine<'_>> {
        self.machines().find(|one| one.name == name)
    }
}

/// A machine of a trial that stopped before a step. It still runs.
pub struct StoppedMachine<'a> {
    /// Its name, if it is one of several.
    pub name: Option<&'a str>,
    /// The machine.
    pub machine: &'a Arc<Machine>,
    /// The key pair that it accepts.
    pub keys: &'a KeyPair,
    /// The folder of its logs.
    pub evidence: &'a Evidence,
}

/// Removes the evidence: the trial has no verdict.
impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.evidence.folder());
    }
}

impl Trial {
    /// Runs all steps before the one with this number (from 1).
    ///
    /// # Errors
    /// As for [`Trial::run`], if one of these steps fails.
    pub async fn stop_before(
        &self,
        step: usize,
        artifacts: &Artifacts,
        settings: &Settings,
    ) -> Result<Stopped, Failure> {
        let settings = &settings.seeded();
        let evidence = self.evidence(artifacts, settings)?;
        let log = self.log(settings, &evidence);
        self.announce(&log);
        let steps = step.saturating_sub(1);
        let stopped = self.first_steps(steps, artifacts, settings, &log).await;
        match stopped {
            Ok(machines) => Ok(Stopped { machines, evidence }),
            Err(failure) => Err(closed(&evidence, failure)),
        }
    }
}
