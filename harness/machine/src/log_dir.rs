//! The directory that a machine writes its logs to.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// An existing directory for `serial.log`, `serial.times`, `events.jsonl`, `qmp.log`, `qemu.log`,
/// `qemu.sh` and, when the machine has them, `registry.log`, `power-cuts.jsonl`, its volumes and its
/// metadata.
#[derive(Debug, Clone)]
pub struct LogDir(PathBuf);

impl LogDir {
    /// The logs go to this directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Opens a file to append to it: a machine that is restarted goes on in the same one.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn append(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file(name))
    }
}
