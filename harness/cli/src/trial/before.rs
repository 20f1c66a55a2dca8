//! A trial that stops before one of its steps, for a person to look at its machine.

use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::evidence::Evidence;
use machine::{KeyPair, Machine};
use yaml::closest;

use super::begin::Begun;
use super::{Failure, Settings, Trial, closed};

/// A trial that stands before a step.
pub struct Stopped {
    begun: Begun,
    /// Where what it saw is written.
    pub evidence: Evidence,
}

impl Stopped {
    /// Its machine.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.begun.machine
    }

    /// The pair whose public key it lets in.
    pub fn keys(&self) -> &KeyPair {
        &self.begun.keys
    }
}

/// Nobody judged it: it leaves nothing.
impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.evidence.folder());
    }
}

impl Trial {
    /// The number of a step that is told by its number (from 1) or its name.
    ///
    /// # Errors
    /// There is no such step; the text lists those that are there.
    pub fn find_step(&self, told: &str) -> Result<usize, String> {
        let steps = &self.scenario.steps;
        let names: Vec<_> = steps.iter().map(scenario::Step::title).collect();
        let number = told.parse().ok().filter(|n| (1..=steps.len()).contains(n));
        let named = || names.iter().position(|name| name == told).map(|n| n + 1);
        number.or_else(named).ok_or_else(|| {
            let meant = closest(told, names.iter().map(String::as_str));
            let meant = meant.map(|near| format!("; did you mean `{near}`?"));
            let meant = meant.unwrap_or_default();
            let lines = names.iter().enumerate();
            let lines: String = lines
                .map(|(n, name)| format!("\n  {}  {name}", n + 1))
                .collect();
            format!(
                "{} has no step `{told}`{meant}\nits steps:{lines}",
                self.name()
            )
        })
    }

    /// Runs all steps before the one with this number (from 1).
    ///
    /// # Errors
    /// As for [`Trial::run`], when one of them is red already.
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
            Ok(begun) => Ok(Stopped { begun, evidence }),
            Err(failure) => Err(closed(&evidence, failure)),
        }
    }
}
