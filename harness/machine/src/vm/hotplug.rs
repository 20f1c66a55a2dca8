//! Hot-plug: disks and network cards that are added while the machine runs.

use crate::qemu::plugged::NETWORK_CARD;
use crate::qemu::plugged::Plugged;
use crate::qemu::plugged::slot;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::PoisonError;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::machine::Machine;
use super::process::QmpSetting;
use crate::disk::Blank;
use crate::disk::Drive;
use crate::disk::Format;
use crate::disk::Origin;
use crate::disk::SavedDrive;
use crate::disk::image;
use crate::error::MachineError;
use crate::network::gate::Gate;
use crate::profile::{Board, Bus};

impl Machine {
    /// Plugs in an empty disk, formatted if it has a label, on the bus of the profile's disks.
    ///
    /// # Errors
    /// No slot is free; the file cannot be created; QEMU's error if the bus does not support hot-plug.
    pub async fn plug_disk(&self, blank: &Blank) -> Result<(), MachineError> {
        let (driver, takes_slot) = self.disk_driver();
        let id = Self::plugged_disk(self.plugged(DISK).await?);
        let slot = if takes_slot {
            self.free_slot().await?
        } else {
            None
        };
        let file = self.folder().join(format!("{id}.img"));
        image::make_blank(&file, blank).map_err(MachineError::Other)?;
        let node = node(&id, &file, Format::Raw);
        self.set(&id, "blockdev-add", node).await?;
        let disk = json!({ "driver": driver, "id": id, "drive": id, "serial": id });
        self.set(&id, "device_add", in_slot(disk, slot)).await
    }

    /// Plugs in a network card, on a QEMU network with this address.
    ///
    /// # Errors
    /// No slot is free; QEMU's error.
    pub async fn plug_card(&self, network: &str) -> Result<(), MachineError> {
        let id = format!("{CARD}{}", self.plugged(CARD).await?);
        let slot = self.free_slot().await?;
        self.plug_network(&id, network).await?;
        let card = json!({
            "driver": NETWORK_CARD, "id": id, "netdev": id, "romfile": "",
        });
        self.set(&id, "device_add", in_slot(card, slot)).await
    }

    /// Creates a QEMU network that lets through no more than the network of the first card.
    async fn plug_network(&self, id: &str, network: &str) -> Result<(), MachineError> {
        let first = network
            .split_once('/')
            .map(|(first, _)| first.parse::<Ipv4Addr>());
        let Some(Ok(first)) = first else {
            return Err(MachineError::Other(format!(
                "`{network}` is not a network address; hint: use CIDR notation"
            )));
        };
        let backend = json!({ "type": "user", "id": id, "net": network });
        self.set(id, "netdev_add", backend).await?;
        if self.vm.resources.spec.outside {
            return Ok(());
        }
        let host = Ipv4Addr::from(u32::from(first) + 2);
        self.close_gate(id, Gate::new(host, vec![])).await
    }

    /// Carries in this process the packets that the guest sends to a network.
    async fn close_gate(&self, network: &str, gate: Gate) -> Result<(), MachineError> {
        let (out, back) = (format!("{network}-out"), format!("{network}-back"));
        let from = self.line(network, &out).await?;
        let into = self.line(network, &back).await?;
        let filter = json!({
            "qom-type": "filter-redirector",
            "id": format!("{network}-gate"),
            "netdev": network,
            "queue": "rx",
            "outdev": out,
            "indev": back,
        });
        self.set(network, "object-add", filter).await?;
        let carry = async move {
            // One QEMU process after another connects.
            while let (Ok(from), Ok(into)) = (from.accept().await, into.accept().await) {
                gate.clone().carry(from, into).await;
            }
        };
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        drop(gates.spawn(carry));
        Ok(())
    }

    /// The plugged-in devices; `drives` are the files of their disks.
    pub(crate) fn plugged_in(&self, drives: Vec<SavedDrive>) -> Plugged {
        let settings = self.vm.settings();
        Plugged {
            drives,
            networks: all(&settings, "netdev_add"),
            devices: all(&settings, "device_add"),
        }
    }

    /// The files of the plugged-in disks.
    pub(crate) fn plugged_drives(&self) -> Vec<Drive> {
        let bus = self.vm.resources.spec.profile.profile.disk_bus;
        let drive = |node: &Value| {
            Some(Drive {
                id: node["node-name"].as_str()?.to_owned(),
                file: node["file"]["filename"].as_str()?.into(),
                format: if node["driver"] == Format::Qcow2.name() {
                    Format::Qcow2
                } else {
                    Format::Raw
                },
                bus,
                read_only: false,
                origin: Origin::Persistent,
                socket: None,
            })
        };
        let settings = self.vm.settings();
        let disks = settings
            .iter()
            .filter(|setting| setting.owner.starts_with(DISK));
        let nodes = disks.filter(|setting| setting.command == "blockdev-add");
        nodes
            .filter_map(|setting| drive(&setting.arguments))
            .collect()
    }

    /// Plugs in the devices of a failure snapshot. QEMU accepts a state only if all devices are the same
    /// as before.
    pub(crate) async fn replug(
        &self,
        plugged: &Plugged,
        snapshot_dir: &Path,
    ) -> Result<(), MachineError> {
        for drive in image::overlays(snapshot_dir, &plugged.drives, &self.vm.resources.folder)? {
            let node = node(&drive.id, &drive.file, drive.format);
            self.set(&drive.id, "blockdev-add", node).await?;
        }
        let mut links = self.vm.resources.spec.links.iter();
        for network in &plugged.networks {
            match &network.net {
                Some(net) => self.plug_network(&network.id, net).await?,
                None => self.plug_saved_link(&network.id, links.next()).await?,
            }
        }
        for device in &plugged.devices {
            device.check().map_err(MachineError::Other)?;
            self.set(&device.id, "device_add", json!(device)).await?;
        }
        Ok(())
    }

    /// The serial number of a plugged-in disk; `number` counts the disks that were plugged in before.
    pub fn plugged_disk(number: usize) -> String {
        format!("{DISK}{number}")
    }

    /// QEMU's driver for a disk on the profile's bus, and whether the disk takes a slot.
    fn disk_driver(&self) -> (&'static str, bool) {
        match self.vm.resources.spec.profile.profile.disk_bus {
            Bus::Scsi => ("scsi-hd", false),
            Bus::Virtio => ("virtio-blk-pci", true),
            Bus::Nvme => ("nvme", true),
            Bus::Sata => ("ide-hd", false),
        }
    }

    /// The slot for the next card; `None` if the board has no slots.
    pub(super) async fn free_slot(&self) -> Result<Option<String>, MachineError> {
        if self.vm.resources.spec.profile.profile.machine != Board::Q35 {
            return Ok(None);
        }
        let (_, disks_are_cards) = self.disk_driver();
        let disks = if disks_are_cards {
            self.plugged(DISK).await?
        } else {
            0
        };
        let taken = disks + self.plugged(CARD).await?;
        let slots = self.vm.process().plan.slots;
        if taken >= slots {
            return Err(MachineError::Other(format!(
                "all {slots} hot-plug slots of q35 are in use"
            )));
        }
        Ok(Some(slot(taken)))
    }

    /// Number of plugged-in devices of a kind.
    pub(super) async fn plugged(&self, kind: &str) -> Result<usize, MachineError> {
        let path = json!({ "path": "/machine/peripheral" });
        let devices = self.qmp("qom-list", path).await?;
        let names = devices.as_array().into_iter().flatten();
        let names = names.filter_map(|device| device["name"].as_str());
        Ok(names.filter(|name| name.starts_with(kind)).count())
    }
}

const DISK: &str = "plugged_disk";
pub(super) const CARD: &str = "plugged_card";

/// The arguments of each recorded command of this name.
fn all<T: DeserializeOwned>(settings: &[QmpSetting], command: &str) -> Vec<T> {
    let all = settings.iter().filter(|setting| setting.command == command);
    all.filter_map(|setting| serde_json::from_value(setting.arguments.clone()).ok())
        .collect()
}

/// The block node of a disk.
fn node(id: &str, file: &Path, format: Format) -> Value {
    json!({
        "driver": format.name(), "node-name": id, "file": { "driver": "file", "filename": file },
    })
}

pub(super) fn in_slot(mut device: Value, slot: Option<String>) -> Value {
    if let Some(slot) = slot {
        device["bus"] = slot.into();
    }
    device
}
