//! What a replay needs of a trial, as files in its evidence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The tree in the evidence folder.
pub(crate) const TREE: &str = "replay";
/// The booted artifacts and the settings of the trial.
pub(crate) const RECORD: &str = "replay.json";

/// The booted artifacts and the settings of the trial.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// `PROFILE::SCENARIO`.
    pub(crate) trial: String,
    pub(crate) profile: String,
    pub(crate) scenario: String,
    /// All profiles that the scenario names.
    pub(crate) profiles: Vec<String>,
    pub(crate) kernel: FileRecord,
    pub(crate) initrd: FileRecord,
    /// The images that the registry served at first, each with a hash of its content.
    #[serde(default)]
    pub(crate) images: BTreeMap<String, String>,
    /// Whether forking was disabled.
    pub(crate) cold: bool,
    /// The seed of the power cuts.
    pub(crate) seed: Option<u64>,
}

/// A reference to a file outside the evidence.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    pub(crate) path: PathBuf,
    /// The hash of its content.
    pub(crate) content: String,
}
