//! Why a saved machine cannot be opened.

use std::io;
use std::path::PathBuf;

/// Why a saved machine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file or the folder cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The description is not valid.
    #[error("{}: {source}", file.display())]
    Format {
        /// The file with the description.
        file: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// The description has another format version.
    #[error("{}: written by another version of the harness", file.display())]
    Version {
        /// The file with the description.
        file: PathBuf,
    },
    /// Another process removes it.
    #[error("{} is being evicted", folder.display())]
    Evicted {
        /// Its folder.
        folder: PathBuf,
    },
    /// A file is truncated.
    #[error("{} has {found} bytes; expected {expected}", file.display())]
    Length {
        /// The file.
        file: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The recorded length in bytes.
        expected: u64,
    },
    /// The description names something that leads out of its folder.
    #[error("{}: {why}", file.display())]
    Foreign {
        /// The file with the description.
        file: PathBuf,
        /// What it names.
        why: String,
    },
}

impl SnapshotError {
    /// Converts an error of an operation on `file`.
    pub(super) fn io(file: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let file = file.into();
        move |source| Self::Unreadable { file, source }
    }

    /// Converts an error in the description `file`.
    pub(super) fn format(file: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> Self {
        let file = file.into();
        move |source| Self::Format { file, source }
    }
}
