//! The outcome of the failure snapshot of a trial.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Whether the machine of a failed trial is kept as a failure snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kept")]
pub enum SnapshotOutcome {
    /// The snapshot is in the evidence.
    #[serde(rename = "yes")]
    Kept {
        /// The size in bytes.
        bytes: u64,
        /// The evidence folder with the snapshot. It is not that of the trial if the machine was made for a
        /// checkpoint.
        #[serde(default)]
        folder: PathBuf,
    },
    /// There is no snapshot.
    #[serde(rename = "no")]
    NotKept {
        /// The reason.
        reason: String,
    },
}

impl SnapshotOutcome {
    /// There is no snapshot, for this reason.
    pub fn not_kept(reason: impl ToString) -> Self {
        Self::NotKept {
            reason: reason.to_string(),
        }
    }
}
