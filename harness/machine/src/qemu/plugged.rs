//! Devices that were plugged in while a machine ran, as a failure snapshot records them.

use serde::{Deserialize, Serialize};

use crate::disk::SavedDrive;

/// A hardware address as QEMU writes it.
pub(crate) fn hardware_address(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

/// The QEMU driver of a network card.
pub(crate) const NETWORK_CARD: &str = "virtio-net-pci";

/// The plugged-in devices of a machine in a failure snapshot.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Plugged {
    /// The files of its disks.
    pub(crate) drives: Vec<SavedDrive>,
    pub(crate) networks: Vec<PluggedNetwork>,
    pub(crate) devices: Vec<PluggedDevice>,
}

/// A QEMU network. No other key of `netdev_add` is read from a snapshot, which may come from another
/// person: some keys start programs (`guestfwd`, `smb`).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PluggedNetwork {
    pub(crate) id: String,
    /// The address of a user network; `None` is a link to other machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) net: Option<String>,
}

/// A disk or a network card.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PluggedDevice {
    driver: String,
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    drive: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    netdev: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    romfile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bus: Option<String>,
}

impl Plugged {
    /// The files of its disks.
    pub(crate) fn drives(&self) -> &[SavedDrive] {
        &self.drives
    }
}

impl PluggedDevice {
    /// Checks that this is a device which the harness plugs in.
    pub(crate) fn check(&self) -> Result<(), String> {
        let known = ["scsi-hd", "virtio-blk-pci", "nvme", "ide-hd", NETWORK_CARD];
        let romfile = self.romfile.as_deref().unwrap_or_default();
        if known.contains(&self.driver.as_str()) && romfile.is_empty() {
            return Ok(());
        }
        Err(format!(
            "unknown plugged-in device `{}`",
            self.driver.escape_debug()
        ))
    }
}

/// The default number of slots. PCI Express accepts a card only in a slot that existed at power-on: a root port.
pub const SLOTS: usize = 4;

/// The id of a slot.
pub(crate) fn slot(number: usize) -> String {
    format!("slot{number}")
}
