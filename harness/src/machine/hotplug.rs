//! Disks and network cards that come while the machine runs.

use serde_json::{Value, json};

use super::{Blank, Machine, MachineError, disks};
use crate::profile::{Board, Bus};

impl Machine {
    /// Plugs an empty disk in, formatted where it has a label, on the bus of the profile's disks.
    ///
    /// # Errors
    /// No slot is free; the file cannot be made; QEMU's error, where that bus takes none while it runs.
    pub async fn plug_disk(&self, blank: &Blank) -> Result<(), MachineError> {
        let bus = self.chassis.make.spec.profile.profile.disk_bus;
        let (driver, is_card) = match bus {
            Bus::Scsi => ("scsi-hd", false),
            Bus::Virtio => ("virtio-blk-pci", true),
            Bus::Nvme => ("nvme", true),
            Bus::Sata => ("ide-hd", false),
        };
        let (id, slot) = self.next_plugged(is_card).await?;
        let file = self.folder().join(format!("{id}.img"));
        disks::make_blank(&file, blank).map_err(MachineError::Other)?;
        let node = json!({
            "driver": "raw", "node-name": id, "file": { "driver": "file", "filename": file },
        });
        self.set(&id, "blockdev-add", node).await?;
        let disk = json!({ "driver": driver, "id": id, "drive": id, "serial": id });
        self.set(&id, "device_add", in_slot(disk, slot)).await
    }

    /// Plugs a network card in, on a network of QEMU's with this address.
    ///
    /// # Errors
    /// No slot is free; QEMU's error.
    pub async fn plug_card(&self, network: &str) -> Result<(), MachineError> {
        let (id, slot) = self.next_plugged(true).await?;
        let backend = json!({ "type": "user", "id": id, "net": network });
        self.set(&id, "netdev_add", backend).await?;
        let card = json!({
            "driver": "virtio-net-pci", "id": id, "netdev": id, "romfile": "",
        });
        self.set(&id, "device_add", in_slot(card, slot)).await
    }

    /// The name of what is plugged in next, and the slot that it takes if it is a card and the board
    /// has slots.
    async fn next_plugged(&self, is_card: bool) -> Result<(String, Option<String>), MachineError> {
        let kind = match is_card {
            true => "plugged-card",
            false => "plugged-disk",
        };
        let path = json!({ "path": "/machine/peripheral" });
        let devices = self.qmp("qom-list", path).await?;
        let names = devices.as_array().into_iter().flatten();
        let names = names.filter_map(|device| device["name"].as_str());
        let number = names.filter(|name| name.starts_with(kind)).count();
        let board = self.chassis.make.spec.profile.profile.machine;
        let slot = (is_card && board == Board::Q35).then_some(number);
        if slot.is_some_and(|slot| slot >= SLOTS) {
            return Err(MachineError::Other(format!(
                "q35 has {SLOTS} slots for cards that come while it runs, and they are taken"
            )));
        }
        Ok((format!("{kind}{number}"), slot.map(self::slot)))
    }
}

/// PCI Express takes a card only in a slot that was there from the beginning: a port of its own.
pub(super) const SLOTS: usize = 2;

/// The name of such a slot.
pub(super) fn slot(number: usize) -> String {
    format!("slot{number}")
}

fn in_slot(mut device: Value, slot: Option<String>) -> Value {
    if let Some(slot) = slot {
        device["bus"] = slot.into();
    }
    device
}
