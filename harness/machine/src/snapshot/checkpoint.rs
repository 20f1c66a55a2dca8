//! A machine that stands still in a folder, and machines that go on from there.
//!
//! The guest's memory is a file that QEMU maps (`memory-backend-file`), so saving writes only what
//! the devices are (QEMU's migration with `x-ignore-shared`), and each machine that goes on maps
//! the same file copy-on-write, with layers above the saved disks.

use crate::disk::SavedDrive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::Drive;
use crate::disk::image;
use crate::error::MachineError;
use crate::log_dir::LogDir;
use crate::qemu::launch;
use crate::qemu::migration::{Transfer, What};
use crate::qemu::qmp::Qmp;
use base::files;
use base::private_dir::PrivateFolder;
use host::speed;

/// The guest's memory.
pub(crate) const MEMORY: &str = "memory";
/// What the devices are.
pub(crate) const DEVICES: &str = "devices";
/// What is known of it; written last, so that a folder without it holds nothing whole.
pub(crate) const ABOUT: &str = "machine.json";
/// For QEMU to write or read what the devices are, on the reference host: a megabyte.
pub(crate) const TRANSFER_SECONDS: u64 = 20;

/// A saved machine.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    about: About,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    /// The words that may be on its kernel command line.
    pub(crate) nonces: Vec<String>,
    pub(crate) host_key: Vec<u8>,
    /// Whether the guest reported its boot.
    pub(crate) reported_boot: bool,
    pub(crate) drives: Vec<SavedDrive>,
    /// Length of each file in bytes: one that was cut short is found before QEMU trips over it.
    pub(crate) lengths: Vec<(String, u64)>,
}

/// Each file is as long as it was.
pub(crate) fn check_lengths(folder: &Path, lengths: &[(String, u64)]) -> Result<(), String> {
    for (name, length) in lengths {
        let file = folder.join(name);
        let found = std::fs::metadata(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        if found.len() != *length {
            let found = found.len();
            return Err(format!(
                "{} has {found} bytes and had {length} when it was saved",
                file.display()
            ));
        }
    }
    Ok(())
}

impl Checkpoint {
    /// Reads what lies in a folder.
    ///
    /// # Errors
    /// There is no saved machine, or not all of it.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let file = folder.join(ABOUT);
        let text = std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let about: About =
            serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        check_lengths(folder, &about.lengths)?;
        let folder = folder.canonicalize().map_err(|e| e.to_string())?;
        Ok(Self { folder, about })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
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

    /// Layers above its disks.
    pub(crate) fn drives(
        &self,
        folder: &PrivateFolder,
        logs: &LogDir,
    ) -> Result<Vec<Drive>, MachineError> {
        self.keep_volumes(logs)?;
        image::above(&self.folder, &self.about.drives, folder)
    }

    /// Copies of its disks.
    pub(crate) fn copied_drives(
        &self,
        folder: &PrivateFolder,
        logs: &LogDir,
    ) -> Result<Vec<Drive>, MachineError> {
        self.keep_volumes(logs)?;
        image::copies(&self.folder, &self.about.drives, folder)
    }

    /// A copy of its memory.
    pub(crate) fn copy_memory(&self, into: &Path) -> Result<(), MachineError> {
        image::copy(&self.file(MEMORY), &into.join(MEMORY)).map_err(MachineError::Start)
    }

    fn keep_volumes(&self, logs: &LogDir) -> Result<(), MachineError> {
        for drive in self.about.drives.iter().filter(|drive| drive.read_only) {
            let volume = self.folder.join(&drive.file);
            std::fs::copy(&volume, logs.file(&drive.file))
                .map_err(|e| MachineError::Start(format!("{}: {e}", volume.display())))?;
        }
        Ok(())
    }

    /// Gives a QEMU that waits for it the devices' state; the guest then runs.
    pub(crate) async fn resume(&self, qmp: &Qmp) -> Result<(), MachineError> {
        let transfer = Transfer::read(qmp, What::Devices, &launch::state_uri()).await?;
        transfer.end(speed::seconds(TRANSFER_SECONDS)).await?;
        // It stood still when it was saved.
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
    fn what_was_cut_short_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Checkpoint::open(folder.path()).unwrap_err().contains(ABOUT));
        std::fs::write(folder.path().join(MEMORY), "1234").unwrap();
        let about = About {
            nonces: vec![],
            host_key: vec![1],
            reported_boot: false,
            drives: vec![],
            lengths: vec![(MEMORY.into(), 4)],
        };
        write_about(folder.path(), &about).unwrap();
        assert!(Checkpoint::open(folder.path()).is_ok());
        std::fs::write(folder.path().join(MEMORY), "12").unwrap();
        let why = Checkpoint::open(folder.path()).unwrap_err();
        assert!(why.contains("has 2 bytes and had 4"), "{why}");
    }
}
