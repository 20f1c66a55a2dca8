//! Disks: as requested, as passed to QEMU, and as saved in a snapshot.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::profile::Bus;

/// A disk in addition to those of the profile.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disk {
    /// An empty disk, removed with the machine.
    Blank(Blank),
    /// A file that the guest writes and that persists (the state disk of `harness run`), raw or qcow2.
    Kept(PathBuf),
    /// A file that is never written: the machine gets an overlay on it.
    Base(PathBuf),
}

/// An empty disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Blank {
    /// Size in MiB.
    pub mib: u64,
    /// If set, the disk is formatted as ext4 with this label.
    pub label: Option<String>,
    /// If set, the file system is in a partition (GPT) of this name.
    pub partition: Option<String>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drive {
    /// Name in QEMU, and serial number for the guest.
    pub id: String,
    /// The file that QEMU opens.
    pub file: PathBuf,
    /// The format of the file.
    pub format: Format,
    /// The bus that it is attached to.
    pub bus: Bus,
    /// The guest cannot write it.
    pub read_only: bool,
    /// Origin of the file, so that `qemu.sh` can create it again.
    pub origin: Origin,
    /// The descriptor in QEMU on which this process serves the file, with a write cache that a power cut
    /// empties. `None`: QEMU opens the file.
    pub socket: Option<i32>,
}

/// Format of a disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    /// Plain bytes.
    Raw,
    /// QEMU's own format.
    Qcow2,
}

impl Format {
    /// The name that QEMU uses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Origin of a drive's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Created empty for this machine.
    Blank(Blank),
    /// An overlay on a file that is never written.
    Overlay {
        /// The base file.
        base: PathBuf,
        /// The format of the base file.
        format: Format,
    },
    /// The file itself, which persists after the machine.
    Persistent,
    /// A volume with seed data; the evidence folder has a copy.
    Volume,
}

/// A disk of a checkpoint or failure snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedDrive {
    pub(crate) id: String,
    /// File name in the folder.
    pub(crate) file: String,
    pub(crate) format: Format,
    pub(crate) bus: Bus,
    pub(crate) read_only: bool,
}
