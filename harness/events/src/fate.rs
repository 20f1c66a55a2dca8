//! What became of the machine of a trial that did not pass.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What became of the machine of a red trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kept")]
pub enum Fate {
    /// It is in the evidence.
    Yes {
        /// How many bytes it takes.
        bytes: u64,
        /// The evidence folder that it is in: not that of the trial where the machine was made for a
        /// checkpoint.
        #[serde(default)]
        folder: PathBuf,
    },
    /// It is not.
    No {
        /// Why.
        why: String,
    },
}

impl Fate {
    /// It is not, and why.
    pub fn no(why: impl ToString) -> Self {
        Self::No {
            why: why.to_string(),
        }
    }
}
