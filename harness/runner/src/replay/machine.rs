//! The failure snapshot of a past trial.

use std::path::PathBuf;

use crate::evidence::{KEY, MACHINE};
use events::SnapshotOutcome;
use machine::FailureSnapshot;

use super::error::ReplayError;
use super::past::PastTrial;

impl PastTrial {
    /// The failure snapshot.
    ///
    /// # Errors
    /// Why there is no usable failure snapshot.
    pub fn machine(&self) -> Result<FailureSnapshot, ReplayError> {
        let machine = self.snapshot_folder().join(MACHINE);
        let folder = self.folder.clone();
        if machine.is_dir() {
            return FailureSnapshot::open(&machine)
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

    /// The private key that the machine accepts, if the scenario installs one.
    pub fn key(&self) -> Option<PathBuf> {
        let key = self.snapshot_folder().join(MACHINE).join(KEY);
        key.is_file().then_some(key)
    }
}
