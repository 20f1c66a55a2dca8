//! The folder that a machine writes its logs to.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// An existing folder for `serial.log`, `serial.times`, `events.jsonl`, `qmp.log`, `qemu.log`,
/// `qemu.sh` and, if the machine has them, `registry.log`, `power-cuts.jsonl`, its volumes and its
/// metadata.
#[derive(Debug, Clone)]
pub struct LogDir(PathBuf);

impl LogDir {
    /// Uses this folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Opens a file for appending. A restarted machine continues the same file.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn append(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file(name))
    }
}
