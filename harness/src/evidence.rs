//! The folder a trial leaves behind, written as it goes: a start with no result means killed.
// OWNER: machine branch.

use std::path::{Path, PathBuf};

/// An open evidence folder.
#[derive(Debug, Clone)]
pub struct Evidence {
    folder: PathBuf,
}

impl Evidence {
    /// Makes a new folder `PARENT/NAME-...` and writes the start marker (`trial.json`).
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn begin(parent: &Path, name: &str) -> std::io::Result<Self> {
        let _ = (parent, name);
        todo!()
    }
    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
    /// Appends one event to `steps.jsonl` (flushed at once).
    pub fn record(&self, event: &serde_json::Value) {
        let _ = event;
        todo!()
    }
    /// Writes the result, last; atomic.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn finish(&self, result: &serde_json::Value) -> std::io::Result<()> {
        let _ = result;
        todo!()
    }
}
