//! All of a machine that QEMU must be told, with every file decided.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::gate::Gate;
use super::{Blank, CardNetwork};
use crate::profile::{Accelerator, Board, Bus, Cpus, Network, ResolvedFirmware};

/// The name of the port on which the guest tells how its boot goes.
pub const EVENTS_PORT: &str = "io.rancher.os.boot";

/// A machine as QEMU sees it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The profile's name, shown in the list of processes.
    pub name: String,
    /// The board.
    pub board: Board,
    /// The word by which it is told from other machines.
    pub nonce: String,
    /// The id that tells a kernel that it was copied: another one for each copy, the same as long
    /// as a machine lives.
    pub generation: String,
    /// What executes the guest.
    pub accelerator: Accelerator,
    /// Virtual processors.
    pub cpus: Cpus,
    /// Memory in MiB.
    pub memory: u64,
    /// Firmware.
    pub firmware: ResolvedFirmware,
    /// The machine's own copy of the UEFI variables.
    pub uefi_vars: Option<PathBuf>,
    /// What QEMU loads itself; none when the firmware boots from a disk.
    pub direct: Option<Direct>,
    /// Disks in order.
    pub drives: Vec<Drive>,
    /// The network card.
    pub network: Network,
    /// The folder of the pages that its network serves as a cloud's metadata.
    pub metadata: Option<PathBuf>,
    /// Host port for SSH.
    pub ssh_port: u16,
    /// The file that is the guest's memory; none leaves it to QEMU.
    pub memory_file: Option<MemoryFile>,
    /// Whether it waits for the state of a saved machine instead of starting.
    pub incoming: Option<Incoming>,
    /// Whether it has a device that takes memory from the guest.
    pub balloon: bool,
    /// What leads its network to its registry, as QEMU is told.
    pub registry: Option<String>,
    /// Networks by QEMU's names for them, and what each lets through; others let everything through.
    pub gates: Vec<(String, Gate)>,
    /// What the network of the first card tells the guest.
    pub first_card: CardNetwork,
    /// Network cards beside it.
    pub cards: Vec<CardNetwork>,
}

impl Plan {
    /// The same machine from power-on.
    #[must_use]
    pub fn powered_on(mut self) -> Self {
        self.incoming = None;
        if let Some(direct) = &mut self.direct {
            direct.kernel_head = None;
        }
        if !matches!(self.memory_file, Some(MemoryFile::Written(_))) {
            self.memory_file = None;
        }
        self
    }

    /// Whether its QEMU will never boot the kernel: it goes on from a saved state, and a reset ends it.
    pub fn never_boots(&self) -> bool {
        self.incoming.is_some() && self.ends_at_reset()
    }

    /// Whether a reset of the guest ends QEMU. Code that is translated anew in pages that held
    /// translated code costs an emulated boot two to three times its time, and nothing but another
    /// process frees it of that.
    pub fn ends_at_reset(&self) -> bool {
        matches!(self.accelerator, Accelerator::Tcg { .. })
    }
}

/// The state of a saved machine.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// A file that QEMU inherits, open for reading.
    Inherited(PathBuf),
    /// From where QEMU is told when it runs.
    Told,
}

/// Guest memory as a file of this host.
#[derive(Debug, Clone)]
pub enum MemoryFile {
    /// What the guest writes is written to it: the machine can be saved.
    Written(PathBuf),
    /// What the guest writes is this machine's alone.
    CopiedOnWrite(PathBuf),
    /// No file, but named as if there were one: the state of a machine that had one fits.
    Unnamed,
}

/// A direct kernel boot.
#[derive(Debug, Clone)]
pub struct Direct {
    /// Kernel image.
    pub kernel: PathBuf,
    /// The beginning of it, for a machine that never boots it: QEMU wants its header, and would read
    /// all of it.
    pub kernel_head: Option<PathBuf>,
    /// Initrd.
    pub initrd: Option<PathBuf>,
    /// The kernel command line.
    pub append: String,
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
