//! The evidence of a past trial, and how it ended.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::evidence::{self, RECORD, Record, TREE};
use events::Verdict;

use super::error::ReplayError;

/// The evidence of a past trial.
#[derive(Debug)]
pub struct PastTrial {
    pub(super) folder: PathBuf,
    pub(super) result: Value,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOutcome {
    /// Its verdict.
    pub verdict: Verdict,
    /// The number of the failed step.
    pub step: Option<usize>,
    /// The name of the machine that failed, if there were several.
    pub failed_on: Option<String>,
}

impl PastTrial {
    /// Opens an evidence folder.
    ///
    /// # Errors
    /// The folder is not an evidence folder, or has another format version.
    pub fn open(folder: &Path) -> Result<Self, ReplayError> {
        let Ok(start) = std::fs::read(folder.join("trial.json")) else {
            let folder = folder.into();
            return Err(ReplayError::NoEvidence { folder });
        };
        let start: Value = serde_json::from_slice(&start).unwrap_or_default();
        // Version 1 had no `version` field.
        let version = start["version"].as_u64().unwrap_or(1);
        if version != u64::from(evidence::VERSION) {
            let folder = folder.into();
            return Err(ReplayError::Version { folder, version });
        }
        // A killed trial has no result.
        let result = std::fs::read(folder.join("result.json")).unwrap_or_default();
        Ok(Self {
            folder: folder.into(),
            result: serde_json::from_slice(&result).unwrap_or_default(),
        })
    }

    /// The path of the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How the trial ended; `None` if it was killed.
    pub fn ended(&self) -> Option<PastOutcome> {
        let step = self.result["step"].as_u64();
        Some(PastOutcome {
            verdict: serde_json::from_value(self.result["verdict"].clone()).ok()?,
            step: step.and_then(|step| step.try_into().ok()),
            failed_on: self.result["failed_on"].as_str().map(str::to_owned),
        })
    }

    /// The seed of its power cuts.
    ///
    /// # Errors
    /// What is missing or invalid in the folder.
    pub fn seed(&self) -> Result<Option<u64>, ReplayError> {
        Ok(self.record()?.seed)
    }

    pub(super) fn record(&self) -> Result<Record, ReplayError> {
        let file = self.folder.join(TREE).join(RECORD);
        let record = std::fs::read(&file)
            .and_then(|text| serde_json::from_slice(&text).map_err(std::io::Error::from));
        record.map_err(|source| ReplayError::Unreadable { file, source })
    }
}
