//! Everything that QEMU is started with; all files are decided.

use crate::disk::Drive;
use std::path::PathBuf;

use crate::network::card::CardNetwork;
use crate::network::gate::Gate;
use crate::profile::{Accelerator, Board, Cpus, Network, ResolvedFirmware};

/// A machine from QEMU's point of view.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The profile's name, shown in the process list.
    pub name: String,
    /// The board.
    pub board: Board,
    /// The nonce that distinguishes this machine from others.
    pub nonce: String,
    /// The VM generation ID, which tells a kernel that it was copied. Each copy has its own; it stays
    /// the same for the life of a machine.
    pub generation: String,
    /// Accelerator that executes the guest.
    pub accelerator: Accelerator,
    /// Virtual processors.
    pub cpus: Cpus,
    /// Memory in MiB.
    pub memory: u64,
    /// Firmware.
    pub firmware: ResolvedFirmware,
    /// The machine's own copy of the UEFI variables.
    pub uefi_vars: Option<PathBuf>,
    /// Files that QEMU loads itself; `None` if the firmware boots from a disk.
    pub direct: Option<Direct>,
    /// Disks in order.
    pub drives: Vec<Drive>,
    /// The kind of the first network card.
    pub network: Network,
    /// The folder of the pages that the network serves as cloud metadata.
    pub metadata: Option<PathBuf>,
    /// Host port for SSH.
    pub ssh_port: u16,
    /// The file that backs the guest's memory; `None` leaves memory to QEMU.
    pub memory_file: Option<MemoryFile>,
    /// The saved state that QEMU waits for instead of booting.
    pub incoming: Option<Incoming>,
    /// Whether it has a balloon device, which takes memory from the guest.
    pub balloon: bool,
    /// The forwarding rule from the network to the registry, in QEMU's syntax.
    pub registry: Option<String>,
    /// Gates by QEMU's name of the network. A network that is not listed lets all packets through.
    pub gates: Vec<(String, Gate)>,
    /// Settings of the network of the first card.
    pub first_card: CardNetwork,
    /// Further network cards.
    pub cards: Vec<CardNetwork>,
    /// Slots of q35 for devices that are plugged in later.
    pub slots: usize,
}

impl Plan {
    /// The same machine, started at power-on.
    #[must_use]
    pub(crate) fn at_power_on(mut self) -> Self {
        self.incoming = None;
        if let Some(direct) = &mut self.direct {
            direct.kernel_head = None;
        }
        if !matches!(self.memory_file, Some(MemoryFile::Written(_))) {
            self.memory_file = None;
        }
        self
    }

    /// Whether this QEMU never boots the kernel: it resumes from a saved state, and a reset ends it.
    pub(crate) fn never_boots(&self) -> bool {
        self.incoming.is_some() && self.ends_at_reset()
    }

    /// Whether a reset of the guest ends QEMU. Under TCG, translating code again in pages that held
    /// translated code makes a boot take two to three times as long; only a new process avoids that.
    pub(crate) fn ends_at_reset(&self) -> bool {
        matches!(self.accelerator, Accelerator::Tcg { .. })
    }
}

/// The source of a saved state.
#[derive(Debug, Clone)]
pub(crate) enum Incoming {
    /// A file that QEMU inherits, open for reading.
    Inherited(PathBuf),
    /// QEMU receives the URI by QMP after it started.
    Deferred,
}

/// Guest memory as a file on this host.
#[derive(Debug, Clone)]
pub(crate) enum MemoryFile {
    /// Writes of the guest go to the file: a checkpoint can be made.
    Written(PathBuf),
    /// Writes of the guest stay private to this machine.
    CopiedOnWrite(PathBuf),
    /// No file, but a memory object with the same name: the state of a machine with a memory file fits.
    Unnamed,
}

/// A direct kernel boot.
#[derive(Debug, Clone)]
pub(crate) struct Direct {
    /// Kernel image.
    pub kernel: PathBuf,
    /// The beginning of the kernel, for a machine that never boots it. QEMU needs only the header, but
    /// would read the whole file.
    pub kernel_head: Option<PathBuf>,
    /// Initrd.
    pub initrd: Option<PathBuf>,
    /// The kernel command line.
    pub append: String,
}
