//! Runs a trial up to one of its steps and leaves the machine running, so that a user can inspect it.

use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::evidence::Evidence;
use machine::{KeyPair, Machine};
use yaml::closest;

use super::begin::StartedMachine;
use super::{Failure, Settings, Trial, closed};

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
        let log = self.log(settings, &evidence, self.name());
        self.announce(&log);
        let steps = step.saturating_sub(1);
        let stopped = self.first_steps(steps, artifacts, settings, &log).await;
        match stopped {
            Ok(started) => Ok(Stopped { started, evidence }),
            Err(failure) => Err(closed(&evidence, failure)),
        }
    }
}
