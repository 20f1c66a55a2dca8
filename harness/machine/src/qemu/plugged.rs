//! Devices that were plugged into a machine while it ran, as a failure snapshot keeps them.

use serde::{Deserialize, Serialize};

use crate::disk::SavedDrive;

/// The device of a network card.
pub(crate) const NETWORK_CARD: &str = "virtio-net-pci";

/// What was plugged into a machine that is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Plugged {
    /// Its disks' files.
    pub(crate) drives: Vec<SavedDrive>,
    pub(crate) networks: Vec<PluggedNetwork>,
    pub(crate) devices: Vec<PluggedDevice>,
}

/// A network of QEMU's. No other key of `netdev_add` is taken from a kept machine, which another person
/// may have sent: some start programs (`guestfwd`, `smb`).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PluggedNetwork {
    pub(crate) id: String,
    pub(crate) net: String,
}

/// A disk or a card.
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
    bus: Option<String>,
}

impl Plugged {
    /// Its disks' files.
    pub(crate) fn drives(&self) -> &[SavedDrive] {
        &self.drives
    }
}

impl PluggedDevice {
    /// It must be one that this harness plugs in.
    pub(crate) fn check(&self) -> Result<(), String> {
        let known = ["scsi-hd", "virtio-blk-pci", "nvme", "ide-hd", NETWORK_CARD];
        let romfile = self.romfile.as_deref().unwrap_or_default();
        if known.contains(&self.driver.as_str()) && romfile.is_empty() {
            return Ok(());
        }
        Err(format!(
            "`{}` is no device that is plugged in",
            self.driver.escape_debug()
        ))
    }
}

/// PCI Express takes a card only in a slot that was there from the beginning: a port of its own.
pub(crate) const SLOTS: usize = 2;

/// The name of such a slot.
pub(crate) fn slot(number: usize) -> String {
    format!("slot{number}")
}
