//! Disks: as they are asked for, as QEMU has them, and as a saved machine keeps them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::profile::Bus;

/// A disk beside those of the profile.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disk {
    /// An empty disk, gone with the machine.
    Blank(Blank),
    /// A file that is kept and written (the state disk of `harness run`), raw or qcow2.
    Kept(PathBuf),
    /// A file that is never written: an overlay goes on top.
    Base(PathBuf),
}

/// An empty disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Blank {
    /// Size in MiB.
    pub mib: u64,
    /// When set, formatted as ext4 with this filesystem label.
    pub label: Option<String>,
    /// When set, it has a partition of this name (GPT), in which the file system is.
    pub partition: Option<String>,
}

/// A disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Drive {
    /// Name in QEMU, and serial number for the guest.
    pub id: String,
    /// The file that QEMU opens.
    pub file: PathBuf,
    /// Its format.
    pub format: Format,
    /// What it is attached to.
    pub bus: Bus,
    /// Never written by the guest.
    pub read_only: bool,
    /// Where the file came from: a script that starts the machine anew makes it anew.
    pub origin: Origin,
    /// The descriptor in QEMU on which this process serves the file, with a write cache that a
    /// power cut empties; none has QEMU open it.
    pub socket: Option<i32>,
}

/// Format of a disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Plain bytes.
    Raw,
    /// QEMU's own.
    Qcow2,
}

impl Format {
    /// As QEMU calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Where the file of a drive came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Made empty for this machine.
    Blank(Blank),
    /// A layer above a file that is never written.
    Overlay {
        /// That file.
        base: PathBuf,
        /// Its format.
        format: Format,
    },
    /// The file itself, kept after the machine.
    Kept,
    /// A volume that tells the machine something, of which the evidence folder has a copy.
    Volume,
}

/// A disk of a saved machine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedDrive {
    pub(crate) id: String,
    /// Its file's name in the folder.
    pub(crate) file: String,
    pub(crate) format: Format,
    pub(crate) bus: Bus,
    pub(crate) read_only: bool,
}
