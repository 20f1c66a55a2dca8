//! Runs a trial up to one of its steps and leaves the machine running, so that a user can inspect it.

use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::evidence::Evidence;
use machine::{KeyPair, Machine};

use super::definition::Trial;
use super::failure::Failure;
use super::settings::Settings;
use super::start::StartedMachine;
use super::verdict::closed;

/// A trial that stopped before a step.
pub struct Stopped {
    started: StartedMachine,
    /// Its evidence folder.
    pub evidence: Evidence,
}

impl Stopped {
    /// Its machine.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.started.machine
    }

    /// The key pair that the machine accepts.
    pub fn keys(&self) -> &KeyPair {
        &self.started.keys
    }
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
            Ok(started) => Ok(Stopped { started, evidence }),
            Err(failure) => Err(closed(&evidence, failure)),
        }
    }
}
