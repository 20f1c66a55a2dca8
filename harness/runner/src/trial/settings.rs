//! How a trial is run.

use std::path::PathBuf;

use crate::provision::CheckpointStore;
use events::{Baseline, Listeners};

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
    pub(super) fn seeded(&self) -> Self {
        Self {
            seed: self.seed.or_else(|| Some(fastrand::u64(..))),
            ..self.clone()
        }
    }
}
