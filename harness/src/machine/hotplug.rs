//! Disks and network cards that come while the machine runs.

use serde_json::{Value, json};

use super::{Blank, Machine, MachineError, disks};
use crate::profile::{Board, Bus};

impl Machine {
    /// Plugs an empty disk in, formatted where it has a label, on the bus of the profile's disks.
    ///
    /// # Errors
    /// The file cannot be made; QEMU's error, where that bus takes none while it runs.
    pub async fn plug_disk(&self, blank: &Blank) -> Result<(), MachineError> {
        let (id, slot) = self.next_plugged().await?;
        let file = self.folder().join(format!("{id}.img"));
        disks::make_blank(&file, blank).map_err(MachineError::Other)?;
        let node = json!({
            "driver": "raw", "node-name": id, "file": { "driver": "file", "filename": file },
        });
        self.set(&id, "blockdev-add", node).await?;
        let bus = self.chassis.make.spec.profile.profile.disk_bus;
        self.set(&id, "device_add", device(bus, &id, slot)).await
    }

    /// Plugs a network card in, on a network of QEMU's with this address.
    ///
    /// # Errors
    /// QEMU's error, where no slot is free.
    pub async fn plug_card(&self, network: &str) -> Result<(), MachineError> {
        let (id, slot) = self.next_plugged().await?;
        let backend = json!({ "type": "user", "id": id, "net": network });
        self.set(&id, "netdev_add", backend).await?;
        let mut card = json!({
            "driver": "virtio-net-pci", "id": id, "netdev": id, "romfile": "",
        });
        if let Some(slot) = slot {
            card["bus"] = slot.into();
        }
        self.set(&id, "device_add", card).await
    }

    /// The name of what is plugged in next, and the slot that it takes if it is a card.
    async fn next_plugged(&self) -> Result<(String, Option<String>), MachineError> {
        let path = json!({ "path": "/machine/peripheral" });
        let devices = self.qmp("qom-list", path).await?;
        let plugged = |device: &&Value| {
            let name = device["name"].as_str();
            name.is_some_and(|name| name.starts_with("plugged"))
        };
        let number = devices
            .as_array()
            .map_or(0, |all| all.iter().filter(plugged).count());
        let board = self.chassis.make.spec.profile.profile.machine;
        let slot = (board == Board::Q35).then(|| slot(number));
        Ok((format!("plugged{number}"), slot))
    }
}

/// PCI Express takes a card only in a slot that was there from the beginning: a port of its own.
pub(super) const SLOTS: usize = 2;

/// The name of such a slot.
pub(super) fn slot(number: usize) -> String {
    format!("slot{number}")
}

fn device(bus: Bus, id: &str, slot: Option<String>) -> Value {
    let (driver, is_card) = match bus {
        Bus::Scsi => ("scsi-hd", false),
        Bus::Virtio => ("virtio-blk-pci", true),
        Bus::Nvme => ("nvme", true),
        Bus::Sata => ("ide-hd", false),
    };
    let mut device = json!({ "driver": driver, "id": id, "drive": id, "serial": id });
    if let Some(slot) = slot.filter(|_| is_card) {
        device["bus"] = slot.into();
    }
    device
}
