//! Reading the YAML files that people write: strictly, with errors that point at the word.
// OWNER: scenario branch. Signatures below are the contract.

use std::path::{Path, PathBuf};

/// What is wrong in a file somebody wrote: file, line, the line itself, and what to do.
#[derive(Debug)]
pub struct SourceError {
    /// The file as the user would name it.
    pub file: PathBuf,
    /// One-based line, when the error has a place.
    pub line: Option<usize>,
    /// What is wrong, lower case, one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl std::fmt::Display for SourceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.message)
    }
}
impl std::error::Error for SourceError {}

/// Reads `path` as YAML into `T`; unknown keys are errors (use `deny_unknown_fields`).
///
/// # Errors
/// The file cannot be read, is not YAML, or does not fit `T`.
pub fn read_yaml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, SourceError> {
    let text = std::fs::read_to_string(path).map_err(|e| SourceError {
        file: path.into(),
        line: None,
        message: format!("cannot be read: {e}"),
        hint: None,
    })?;
    serde_yaml::from_str(&text).map_err(|e| SourceError {
        file: path.into(),
        line: e.location().map(|l| l.line()),
        message: e.to_string(),
        hint: None,
    })
}
