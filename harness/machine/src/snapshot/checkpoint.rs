//! Checkpoints: the state of a stopped machine in a folder, from which forks continue.
//!
//! The guest's memory is a file that QEMU maps (`memory-backend-file`). So a checkpoint writes only the
//! state of the devices (QEMU's migration with `x-ignore-shared`), and each fork maps the same file
//! copy-on-write, with overlays on the saved disks.

use super::damage::SnapshotError;
use crate::disk::SavedDrive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::Drive;
use crate::disk::image;
use crate::error::MachineError;
use crate::log_dir::LogDir;
use crate::qemu::launch;
use crate::qemu::migration::{Scope, Transfer};
use crate::qemu::qmp::Qmp;
use base::files;
use base::private_dir::PrivateFolder;
use host::speed;

/// The guest's memory.
pub(crate) const MEMORY: &str = "memory";
/// The state of the devices.
pub(crate) const DEVICES: &str = "devices";
/// The description of a checkpoint. Written last: a folder without it is incomplete.
pub(crate) const ABOUT: &str = "machine.json";
/// Timeout for QEMU to write or read the state of the devices, a megabyte, on the reference host.
pub(crate) const TRANSFER_SECONDS: u64 = 20;

/// A checkpoint on disk.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    about: About,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    /// The nonces that may be on its kernel command line.
    pub(crate) nonces: Vec<String>,
    pub(crate) host_key: Vec<u8>,
    /// Whether the guest reported its boot.
    pub(crate) reported_boot: bool,
    pub(crate) drives: Vec<SavedDrive>,
    /// How many links to other machines it has. They are the links of the forks' specification.
    #[serde(default)]
    pub(crate) links: usize,
    /// Length of each file in bytes, to detect a truncated file before QEMU reads it.
    pub(crate) lengths: Vec<(String, u64)>,
}

/// Checks that each file has its recorded length.
pub(crate) fn check_lengths(folder: &Path, lengths: &[(String, u64)]) -> Result<(), SnapshotError> {
    for (name, expected) in lengths {
        let (file, expected) = (folder.join(name), *expected);
        let found = std::fs::metadata(&file).map_err(SnapshotError::io(&file))?;
        let found = found.len();
        if found != expected {
            return Err(SnapshotError::Length {
                file,
                found,
                expected,
            });
        }
    }
    Ok(())
}

impl Checkpoint {
    /// Opens the checkpoint in a folder.
    ///
    /// # Errors
    /// The folder holds no checkpoint, or an incomplete one.
    pub fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let file = folder.join(ABOUT);
        let text = std::fs::read(&file).map_err(SnapshotError::io(&file))?;
        let about: About = serde_json::from_slice(&text).map_err(SnapshotError::format(&file))?;
        check_lengths(folder, &about.lengths)?;
        let folder = folder.canonicalize().map_err(SnapshotError::io(folder))?;
        Ok(Self { folder, about })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// How many links to other machines it has.
    pub(crate) fn links(&self) -> usize {
        self.about.links
    }

    pub(crate) fn nonces(&self) -> &[String] {
        &self.about.nonces
    }

    pub(crate) fn reported_boot(&self) -> bool {
        self.about.reported_boot
    }

    pub(crate) fn host_key(&self) -> &[u8] {
        &self.about.host_key
    }

    /// Overlays on its disks.
    pub(crate) fn drives(
        &self,
        folder: &PrivateFolder,
        logs: &LogDir,
    ) -> Result<Vec<Drive>, MachineError> {
        self.copy_volumes(logs)?;
        image::overlays(&self.folder, &self.about.drives, folder)
    }

    /// Copies of its disks.
    pub(crate) fn copied_drives(
        &self,
        folder: &PrivateFolder,
        logs: &LogDir,
    ) -> Result<Vec<Drive>, MachineError> {
        self.copy_volumes(logs)?;
        image::copies(&self.folder, &self.about.drives, folder)
    }

    /// Copies its memory.
    pub(crate) fn copy_memory(&self, into: &Path) -> Result<(), MachineError> {
        image::copy(&self.file(MEMORY), &into.join(MEMORY)).map_err(MachineError::Start)
    }

    fn copy_volumes(&self, logs: &LogDir) -> Result<(), MachineError> {
        for drive in self.about.drives.iter().filter(|drive| drive.read_only) {
            let volume = self.folder.join(&drive.file);
            std::fs::copy(&volume, logs.file(&drive.file))
                .map_err(|e| MachineError::Start(format!("{}: {e}", volume.display())))?;
        }
        Ok(())
    }

    /// Loads the state of the devices into a QEMU that waits for it, and starts the guest.
    pub(crate) async fn resume(&self, qmp: &Qmp) -> Result<(), MachineError> {
        let transfer = Transfer::read(qmp, Scope::Devices, &launch::state_uri()).await?;
        transfer.end(speed::seconds(TRANSFER_SECONDS)).await?;
        // The guest was stopped when the checkpoint was made.
        qmp.execute("cont", Value::Null).await.map(drop)
    }
}

pub(crate) fn write_about(folder: &Path, about: &About) -> std::io::Result<()> {
    let text = serde_json::to_vec_pretty(about)?;
    files::replace(&folder.join(ABOUT), files::PRIVATE, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_checkpoint_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let why = Checkpoint::open(folder.path()).unwrap_err().to_string();
        assert!(why.contains(ABOUT), "{why}");
        std::fs::write(folder.path().join(MEMORY), "1234").unwrap();
        let about = About {
            nonces: vec![],
            host_key: vec![1],
            reported_boot: false,
            drives: vec![],
            links: 0,
            lengths: vec![(MEMORY.into(), 4)],
        };
        write_about(folder.path(), &about).unwrap();
        assert!(Checkpoint::open(folder.path()).is_ok());
        std::fs::write(folder.path().join(MEMORY), "12").unwrap();
        let why = Checkpoint::open(folder.path()).unwrap_err().to_string();
        assert!(why.contains("has 2 bytes; expected 4"), "{why}");
    }
}
