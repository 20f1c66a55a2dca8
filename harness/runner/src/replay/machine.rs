//! The failure snapshot of a past trial.

use std::path::PathBuf;

use crate::evidence::{KEY, MACHINE};
use events::SnapshotOutcome;
use machine::FailureSnapshot;

use super::error::ReplayError;
use super::past::PastTrial;

impl PastTrial {
    /// The failure snapshot of a machine; `name` is required if the trial had several.
    ///
    /// # Errors
    /// Why there is no usable failure snapshot; the names of the machines if `name` is none of them.
    pub fn machine(&self, name: Option<&str>) -> Result<FailureSnapshot, ReplayError> {
        let folder = self.folder.clone();
        if self.snapshot_folder().join(MACHINE).is_dir() {
            return FailureSnapshot::open(&self.of_machine(name)?)
                .map_err(|source| ReplayError::Snapshot { folder, source });
        }
        let why = match (self.snapshot_outcome(), self.ended()) {
            (Some(SnapshotOutcome::NotKept { reason }), _) => reason,
            (Some(SnapshotOutcome::Kept { .. }), _) => {
                "it was removed, because only the newest are kept".into()
            }
            (None, None) => "the trial ended without a verdict".into(),
            (None, Some(_)) => "only a failed trial leaves one".into(),
        };
        Err(ReplayError::NoSnapshot { folder, why })
    }

    /// The folder of the snapshot of a machine. Those of several are in folders with their names.
    fn of_machine(&self, name: Option<&str>) -> Result<PathBuf, ReplayError> {
        let all = self.snapshot_folder().join(MACHINE);
        let names = self.machine_names();
        match name {
            None if names.is_empty() => Ok(all),
            Some(name) if names.iter().any(|one| one == name) => Ok(all.join(name)),
            _ => Err(ReplayError::Machine { names }),
        }
    }

    /// The names of the machines that have a failure snapshot, sorted; empty if the trial had one machine.
    pub fn machine_names(&self) -> Vec<String> {
        let all = self.snapshot_folder().join(MACHINE);
        let entries = std::fs::read_dir(&all).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn snapshot_outcome(&self) -> Option<SnapshotOutcome> {
        serde_json::from_value(self.result["machine"].clone()).ok()
    }

    /// The evidence folder that holds the failure snapshot: this one, or that of a checkpoint machine
    /// that failed before the trial had its own machine.
    pub fn snapshot_folder(&self) -> PathBuf {
        let own = self.folder.clone();
        let Some(SnapshotOutcome::Kept { folder, .. }) = self.snapshot_outcome() else {
            return own;
        };
        // All evidence may have been moved to another place.
        let name = folder.file_name().unwrap_or_default();
        let beside = own.join("..").join(name);
        let exists = |folder: &PathBuf| folder.join(MACHINE).is_dir();
        let places = [own.clone(), folder, beside];
        places.into_iter().find(exists).unwrap_or(own)
    }

    /// The private key that a machine accepts, if the scenario installs one.
    pub fn key(&self, name: Option<&str>) -> Option<PathBuf> {
        let key = self.of_machine(name).ok()?.join(KEY);
        key.is_file().then_some(key)
    }

    /// The folder with the logs of a machine.
    pub fn logs(&self, name: Option<&str>) -> PathBuf {
        let folder = self.snapshot_folder();
        name.map_or_else(|| folder.clone(), |name| folder.join(name))
    }
}
