//! Strict reading of YAML files, with errors that point at the place.
//!
//! The text is parsed twice: as events for an index of the positions of all keys, and by serde. An error
//! of serde has a path (`steps[2].ssh.run`), which the index maps to a line and a column. Errors of
//! later checks (a lint) use the same paths.

mod console;
mod error;
mod explain;
mod index;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_yaml::Value;

pub use console::{ConsoleRules, LinePattern};
pub use error::{SourceError, render_all};
pub use explain::closest;

use explain::{At, Explained};
use index::Index;

/// Reads `path` as YAML into `T`; unknown keys are errors (use `deny_unknown_fields`).
///
/// # Errors
/// The file cannot be read, is not YAML, or does not fit `T`.
pub fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<T, SourceError> {
    let document = Document::read(path)?;
    document.fit(document.value()?, "")
}

/// A YAML file with its text and index, so that later checks can report errors with their place.
#[derive(Debug, Clone)]
pub struct Document {
    file: PathBuf,
    text: Arc<str>,
    index: Arc<Index>,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not YAML.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SourceError::in_file(path, format!("cannot be read: {error}")))?;
        Self::from_text(path, &text)
    }

    /// Parses `text` as the content of `path`.
    ///
    /// # Errors
    /// The text is not YAML, or has a duplicate key.
    pub fn from_text(path: &Path, text: &str) -> Result<Self, SourceError> {
        let text: Arc<str> = text.into();
        let index = Index::of(&text)
            .map_err(|error| SourceError::in_file(path, error.message).at(&text, error.span))?;
        Ok(Self {
            file: path.into(),
            text,
            index: Arc::new(index),
        })
    }

    /// The path of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The whole document as an untyped value.
    ///
    /// # Errors
    /// The document has YAML that serde cannot represent.
    pub fn value(&self) -> Result<Value, SourceError> {
        serde_yaml::from_str(&self.text).map_err(|error| {
            let start = error.location().map_or(0, |place| place.index());
            SourceError::in_file(&self.file, error.to_string()).at(&self.text, start..start)
        })
    }

    /// Deserializes a part of the document; `base` is its path, empty for the whole document.
    ///
    /// # Errors
    /// The first error.
    pub fn fit<T: DeserializeOwned>(&self, part: Value, base: &str) -> Result<T, SourceError> {
        serde_path_to_error::deserialize(part).map_err(|error| {
            let path = join(base, &error.path().to_string());
            let Explained { message, hint, at } = explain::explain(&error.into_inner().to_string());
            let found = match at {
                At::Key => self.at_key(&path, message),
                At::Value => self.at_value(&path, message),
            };
            SourceError {
                hint: hint.map(Into::into),
                ..found
            }
        })
    }

    /// An error at the key of `path`, or of its nearest parent.
    pub fn at_key(&self, path: &str, message: impl Into<String>) -> SourceError {
        SourceError::in_file(&self.file, message).at(&self.text, self.index.key(path))
    }

    /// An error at the value of `path`, or at its nearest parent.
    pub fn at_value(&self, path: &str, message: impl Into<String>) -> SourceError {
        SourceError::in_file(&self.file, message).at(&self.text, self.index.value(path))
    }

    /// The line of `path`, from 1.
    pub fn line(&self, path: &str) -> usize {
        error::line_of(&self.text, self.index.key(path).start)
    }
}

/// Joins two paths in the format of serde.
fn join(base: &str, rest: &str) -> String {
    match (base, rest) {
        (base, "" | ".") => base.into(),
        ("", rest) => rest.into(),
        (base, rest) if rest.starts_with('[') => format!("{base}{rest}"),
        (base, rest) => format!("{base}.{rest}"),
    }
}

#[cfg(test)]
mod tests;
