//! What the targets share.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A file with this content, in a folder of this process: what reads files is given files.
///
/// # Panics
/// The folder for temporary files cannot be written.
pub fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, content).expect("a temporary file can be written");
    path
}

/// The folder of [`file`].
///
/// # Panics
/// There is no folder for temporary files.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| tempfile::tempdir().expect("a temporary folder can be made"))
        .path()
}
