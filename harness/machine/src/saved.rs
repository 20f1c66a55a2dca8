//! A machine that stands still in a folder, and machines that go on from there.
//!
//! The guest's memory is a file that QEMU maps (`memory-backend-file`), so saving writes only what
//! the devices are (QEMU's migration with `x-ignore-shared`), and each machine that goes on maps
//! the same file copy-on-write, with layers above the saved disks.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kept::Kept;
use super::plan::{Drive, Format};
use super::qmp::Qmp;
use super::transfer::{Transfer, What};
use super::{Machine, MachineError, disks, launch};
use crate::log_dir::LogDir;
use crate::profile::Bus;
use base::files;
use base::private_dir::PrivateFolder;
use base::shell;
use base::wait::{Poll, wait_until};
use host::speed;

/// The guest's memory.
pub(super) const MEMORY: &str = "memory";
/// What the devices are.
pub(super) const DEVICES: &str = "devices";
/// What is known of it; written last, so that a folder without it holds nothing whole.
const ABOUT: &str = "machine.json";
/// For QEMU to write or read what the devices are, on the reference host: a megabyte.
const TRANSFER_SECONDS: u64 = 20;

/// Where a machine begins.
pub(super) enum Begin<'a> {
    /// With power-on.
    PowerOn,
    /// With power-on, and its memory in this folder.
    Savable(&'a Path),
    /// Where a saved one stood.
    Saved(&'a Saved),
    /// Where one stood when its trial failed.
    Kept(&'a Kept),
    /// The same on copies in this folder, so that it can be saved there.
    Continued(&'a Saved, &'a Path),
}

impl<'a> Begin<'a> {
    /// What it goes on from.
    pub(super) fn saved(&self) -> Option<&'a Saved> {
        match self {
            Self::Saved(saved) | Self::Continued(saved, _) => Some(saved),
            Self::PowerOn | Self::Savable(_) | Self::Kept(_) => None,
        }
    }

    /// Where it can be saved.
    pub(super) fn folder(&self) -> Option<&'a Path> {
        match self {
            Self::Savable(folder) | Self::Continued(_, folder) => Some(folder),
            Self::PowerOn | Self::Saved(_) | Self::Kept(_) => None,
        }
    }
}

/// A saved machine.
#[derive(Debug)]
pub struct Saved {
    folder: PathBuf,
    about: About,
}

#[derive(Debug, Serialize, Deserialize)]
struct About {
    /// The words that may be on its kernel command line.
    nonces: Vec<String>,
    host_key: Vec<u8>,
    /// Whether it told of its boot.
    told: bool,
    drives: Vec<SavedDrive>,
    /// Length of each file in bytes: one that was cut short is found before QEMU trips over it.
    lengths: Vec<(String, u64)>,
}

/// A disk of a saved machine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedDrive {
    pub(super) id: String,
    /// Its file's name in the folder.
    pub(super) file: String,
    pub(super) format: Format,
    pub(super) bus: Bus,
    pub(super) read_only: bool,
}

/// Each file is as long as it was.
pub(super) fn check_lengths(folder: &Path, lengths: &[(String, u64)]) -> Result<(), String> {
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

impl Saved {
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

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn nonces(&self) -> &[String] {
        &self.about.nonces
    }

    pub(super) fn told(&self) -> bool {
        self.about.told
    }

    pub(super) fn host_key(&self) -> &[u8] {
        &self.about.host_key
    }

    /// Layers above its disks.
    pub(super) fn drives(
        &self,
        folder: &PrivateFolder,
        logs: &LogDir,
    ) -> Result<Vec<Drive>, MachineError> {
        self.keep_volumes(logs)?;
        disks::above(&self.folder, &self.about.drives, folder)
    }

    /// Copies of its disks.
    pub(super) fn copied_drives(
        &self,
        folder: &PrivateFolder,
        logs: &LogDir,
    ) -> Result<Vec<Drive>, MachineError> {
        self.keep_volumes(logs)?;
        disks::copies(&self.folder, &self.about.drives, folder)
    }

    /// A copy of its memory.
    pub(super) fn copy_memory(&self, into: &Path) -> Result<(), MachineError> {
        disks::copy(&self.file(MEMORY), &into.join(MEMORY)).map_err(MachineError::Start)
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
    pub(super) async fn resume(&self, qmp: &Qmp) -> Result<(), MachineError> {
        let transfer = Transfer::read(qmp, What::Devices, &launch::state_uri()).await?;
        transfer.end(speed::seconds(TRANSFER_SECONDS)).await?;
        // It stood still when it was saved.
        qmp.execute("cont", Value::Null).await.map(drop)
    }
}

impl Machine {
    /// Stops the machine for good and leaves it in the folder that its memory is in. Waits until
    /// the guest has seen the end of all connections, for nobody will be at their other end.
    ///
    /// # Errors
    /// No login has proven which machine this is; QEMU's error; the folder cannot be written.
    pub async fn save(&self, folder: &Path) -> Result<(), MachineError> {
        let failed = |what: &Path, e: std::io::Error| {
            MachineError::Other(format!("{} cannot be kept: {e}", what.display()))
        };
        let host_key = self.target.identity.pinned();
        let host_key = host_key.ok_or_else(|| {
            MachineError::Other("a machine is saved after its first login".into())
        })?;
        let qmp = &self.now_qmp();
        self.forwards.lock().await.clear();
        disconnected(qmp).await?;
        // Also writes out what the disks have in QEMU.
        qmp.execute("stop", Value::Null).await?;
        let uri = format!("exec:cat > {}", quote(&folder.join(DEVICES)));
        let transfer = Transfer::write(qmp, What::Devices, &uri).await?;
        transfer.end(speed::seconds(TRANSFER_SECONDS)).await?;
        qmp.execute("quit", Value::Null).await?;
        self.ended().await;

        let mut lengths = Vec::new();
        let mut drives = Vec::new();
        for drive in &self.chassis.now().plan.drives {
            let name = drive.file.file_name().unwrap_or_default();
            let kept = folder.join(name);
            std::fs::rename(&drive.file, &kept).map_err(|e| failed(&kept, e))?;
            drives.push(SavedDrive {
                id: drive.id.clone(),
                file: name.to_string_lossy().into_owned(),
                format: drive.format,
                bus: drive.bus,
                read_only: drive.read_only,
            });
        }
        let names = drives.iter().map(|drive| drive.file.as_str());
        for name in names.chain([MEMORY, DEVICES]) {
            let file = folder.join(name);
            let found = std::fs::metadata(&file).map_err(|e| failed(&file, e))?;
            lengths.push((name.to_owned(), found.len()));
        }
        let about = About {
            nonces: self.target.identity.words(),
            host_key,
            told: self.tells_of_its_boot(),
            drives,
            lengths,
        };
        write_about(folder, &about).map_err(|e| failed(&folder.join(ABOUT), e))
    }
}

fn write_about(folder: &Path, about: &About) -> std::io::Result<()> {
    let text = serde_json::to_vec_pretty(about)?;
    files::replace(&folder.join(ABOUT), files::PRIVATE, &text)
}

/// Until no connection leads through QEMU to the guest.
async fn disconnected(qmp: &Qmp) -> Result<(), MachineError> {
    let limit = speed::seconds(TRANSFER_SECONDS);
    let look = async || match launch::network_table(qmp).await {
        Err(error) => Poll::Failed(error.to_string()),
        Ok(table) => match connection(&table) {
            Some(row) => Poll::NotYet(row.trim().to_owned()),
            None => Poll::Ready(()),
        },
    };
    Ok(wait_until("the end of all connections", limit, look).await?)
}

/// A row of a connection that is not over: `  TCP[ESTABLISHED]  17  127.0.0.1 40000 ...`.
fn connection(table: &str) -> Option<&str> {
    let over = ["HOST_FORWARD", "TIME_WAIT", "CLOSED"];
    table.lines().find(|row| {
        let state = row.trim_start().strip_prefix("TCP[");
        state.is_some_and(|state| !over.iter().any(|over| state.starts_with(over)))
    })
}

fn quote(path: &Path) -> String {
    shell::quote(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  TCP[HOST_FORWARD]  18       127.0.0.1 33987       10.0.2.15    22     0     0\r\n  TCP[TIME_WAIT]     19       127.0.0.1 33987       10.0.2.15    22     0     0\r\n";

    #[test]
    fn a_connection_that_is_not_over_is_seen() {
        assert_eq!(connection(TABLE), None);
        let open = TABLE.replace("TIME_WAIT]  ", "ESTABLISHED]");
        assert!(connection(&open).unwrap().contains("ESTABLISHED"));
    }

    #[test]
    fn what_was_cut_short_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Saved::open(folder.path()).unwrap_err().contains(ABOUT));
        std::fs::write(folder.path().join(MEMORY), "1234").unwrap();
        let about = About {
            nonces: vec![],
            host_key: vec![1],
            told: false,
            drives: vec![],
            lengths: vec![(MEMORY.into(), 4)],
        };
        write_about(folder.path(), &about).unwrap();
        assert!(Saved::open(folder.path()).is_ok());
        std::fs::write(folder.path().join(MEMORY), "12").unwrap();
        let why = Saved::open(folder.path()).unwrap_err();
        assert!(why.contains("has 2 bytes and had 4"), "{why}");
    }
}
