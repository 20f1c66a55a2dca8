//! Disks that come while the machine runs.

use serde_json::{Value, json};

use super::{Blank, Machine, MachineError, disks};
use crate::profile::{Board, Bus};

impl Machine {
    /// Plugs an empty disk in, formatted where it has a label, on the bus of the profile's disks.
    ///
    /// # Errors
    /// The file cannot be made; QEMU's error, where that bus takes none while it runs.
    pub async fn plug_disk(&self, blank: &Blank) -> Result<(), MachineError> {
        let nodes = self.qmp("query-named-block-nodes", Value::Null).await?;
        let plugged = |node: &&Value| {
            let name = node["node-name"].as_str();
            name.is_some_and(|name| name.starts_with("plugged"))
        };
        let number = nodes
            .as_array()
            .map_or(0, |all| all.iter().filter(plugged).count());
        let id = format!("plugged{number}");
        let file = self.folder().join(format!("{id}.img"));
        disks::make_blank(&file, blank).map_err(MachineError::Other)?;
        let node = json!({
            "driver": "raw", "node-name": id, "file": { "driver": "file", "filename": file },
        });
        self.set(&id, "blockdev-add", node).await?;
        let profile = &self.chassis.make.spec.profile.profile;
        let slot = (profile.machine == Board::Q35).then(|| slot(number));
        let device = device(profile.disk_bus, &id, slot);
        self.set(&id, "device_add", device).await
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
