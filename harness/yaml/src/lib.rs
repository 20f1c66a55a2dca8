//! Reading the YAML files that people write: strictly, with errors that point at the word.
//!
//! The text is read twice: once as events, for an index that knows where each key stands, and once
//! by serde. An error of serde carries a path (`steps[2].ssh.run`), the index turns it into a line
//! and a column; what is only found to be wrong later (a lint) goes the same way.

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

/// A YAML file with its text, so that whoever finds something wrong in it can point at the place.
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
    /// It cannot be read, or is not YAML.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SourceError::in_file(path, format!("cannot be read: {error}")))?;
        Self::from_text(path, &text)
    }

    /// Takes text as if it had been read from `path`.
    ///
    /// # Errors
    /// It is not YAML, or says the same key twice.
    pub fn from_text(path: &Path, text: &str) -> Result<Self, SourceError> {
        let text: Arc<str> = text.into();
        let index = Index::of(&text)
            .map_err(|broken| SourceError::in_file(path, broken.message).at(&text, broken.span))?;
        Ok(Self {
            file: path.into(),
            text,
            index: Arc::new(index),
        })
    }

    /// The file, as it was named.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The whole document, untyped.
    ///
    /// # Errors
    /// It is YAML of a kind that serde cannot hold.
    pub fn value(&self) -> Result<Value, SourceError> {
        serde_yaml::from_str(&self.text).map_err(|error| {
            let start = error.location().map_or(0, |place| place.index());
            SourceError::in_file(&self.file, error.to_string()).at(&self.text, start..start)
        })
    }

    /// Fits a part of the document, found at `base` (empty for all of it), into a type.
    ///
    /// # Errors
    /// The first thing that does not fit.
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

    /// An error that points at the key of `path`, or of what it stands in.
    pub fn at_key(&self, path: &str, message: impl Into<String>) -> SourceError {
        SourceError::in_file(&self.file, message).at(&self.text, self.index.key(path))
    }

    /// An error that points at the value at `path`, or at what it stands in.
    pub fn at_value(&self, path: &str, message: impl Into<String>) -> SourceError {
        SourceError::in_file(&self.file, message).at(&self.text, self.index.value(path))
    }

    /// The one-based line of `path`.
    pub fn line(&self, path: &str) -> usize {
        error::line_of(&self.text, self.index.key(path).start)
    }
}

/// Joins two paths as serde writes them.
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
