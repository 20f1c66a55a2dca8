//! Disks and network cards that come while the machine runs.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::PoisonError;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chassis::Setting;
use super::gate::Gate;
use super::plan::{Drive, Format, Origin};
use super::saved::SavedDrive;
use super::{Blank, Machine, MachineError, disks};
use crate::profile::{Board, Bus};

impl Machine {
    /// Plugs an empty disk in, formatted where it has a label, on the bus of the profile's disks.
    ///
    /// # Errors
    /// No slot is free; the file cannot be made; QEMU's error, where that bus takes none while it runs.
    pub async fn plug_disk(&self, blank: &Blank) -> Result<(), MachineError> {
        let (driver, takes_slot) = self.disk_driver();
        let id = Self::plugged_disk(self.plugged(DISK).await?);
        let slot = match takes_slot {
            true => self.free_slot().await?,
            false => None,
        };
        let file = self.folder().join(format!("{id}.img"));
        disks::make_blank(&file, blank).map_err(MachineError::Other)?;
        let node = node(&id, &file, Format::Raw);
        self.set(&id, "blockdev-add", node).await?;
        let disk = json!({ "driver": driver, "id": id, "drive": id, "serial": id });
        self.set(&id, "device_add", in_slot(disk, slot)).await
    }

    /// Plugs a network card in, on a network of QEMU's with this address.
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

    /// Makes a network of QEMU's, which lets no more through than that of the first card.
    async fn plug_network(&self, id: &str, network: &str) -> Result<(), MachineError> {
        let first = network
            .split_once('/')
            .map(|(first, _)| first.parse::<Ipv4Addr>());
        let Some(Ok(first)) = first else {
            return Err(MachineError::Other(format!("`{network}` is no network")));
        };
        let backend = json!({ "type": "user", "id": id, "net": network });
        self.set(id, "netdev_add", backend).await?;
        if self.chassis.make.spec.outside {
            return Ok(());
        }
        let host = Ipv4Addr::from(u32::from(first) + 2);
        self.close_gate(id, Gate::new(host, vec![])).await
    }

    /// Has this process carry what the guest sends to a network.
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
            // One QEMU after another.
            while let (Ok(from), Ok(into)) = (from.accept().await, into.accept().await) {
                gate.clone().carry(from, into).await;
            }
        };
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        drop(gates.spawn(carry));
        Ok(())
    }

    /// What is plugged in, whose disks' files are these.
    pub(super) fn plugged_in(&self, drives: Vec<SavedDrive>) -> Plugged {
        let settings = self.chassis.settings();
        Plugged {
            drives,
            networks: all(&settings, "netdev_add"),
            devices: all(&settings, "device_add"),
        }
    }

    /// The files of the disks that are plugged in.
    pub(super) fn plugged_drives(&self) -> Vec<Drive> {
        let bus = self.chassis.make.spec.profile.profile.disk_bus;
        let drive = |node: &Value| {
            Some(Drive {
                id: node["node-name"].as_str()?.to_owned(),
                file: node["file"]["filename"].as_str()?.into(),
                format: match node["driver"] == Format::Qcow2.name() {
                    true => Format::Qcow2,
                    false => Format::Raw,
                },
                bus,
                read_only: false,
                origin: Origin::Kept,
                socket: None,
            })
        };
        let settings = self.chassis.settings();
        let disks = settings.iter().filter(|one| one.of.starts_with(DISK));
        let nodes = disks.filter(|one| one.command == "blockdev-add");
        nodes.filter_map(|one| drive(&one.arguments)).collect()
    }

    /// Plugs in what was in a machine that was kept in a folder: QEMU takes a state in only where all
    /// is as it was.
    pub(super) async fn plug_again(
        &self,
        plugged: &Plugged,
        kept: &Path,
    ) -> Result<(), MachineError> {
        for drive in disks::above(kept, &plugged.drives, &self.chassis.make.folder)? {
            let node = node(&drive.id, &drive.file, drive.format);
            self.set(&drive.id, "blockdev-add", node).await?;
        }
        for network in &plugged.networks {
            self.plug_network(&network.id, &network.net).await?;
        }
        for device in &plugged.devices {
            device.check().map_err(MachineError::Other)?;
            self.set(&device.id, "device_add", json!(device)).await?;
        }
        Ok(())
    }

    /// The serial number of the disk that is plugged in after so many others.
    pub fn plugged_disk(number: usize) -> String {
        format!("{DISK}{number}")
    }

    /// What a disk of the profile's bus is to QEMU, and whether it is a card.
    fn disk_driver(&self) -> (&'static str, bool) {
        match self.chassis.make.spec.profile.profile.disk_bus {
            Bus::Scsi => ("scsi-hd", false),
            Bus::Virtio => ("virtio-blk-pci", true),
            Bus::Nvme => ("nvme", true),
            Bus::Sata => ("ide-hd", false),
        }
    }

    /// The slot that the next card takes, if the board has slots.
    async fn free_slot(&self) -> Result<Option<String>, MachineError> {
        if self.chassis.make.spec.profile.profile.machine != Board::Q35 {
            return Ok(None);
        }
        let (_, disks_are_cards) = self.disk_driver();
        let disks = match disks_are_cards {
            true => self.plugged(DISK).await?,
            false => 0,
        };
        let taken = disks + self.plugged(CARD).await?;
        if taken >= SLOTS {
            return Err(MachineError::Other(format!(
                "q35 has {SLOTS} slots for cards that come while it runs, and they are taken"
            )));
        }
        Ok(Some(slot(taken)))
    }

    /// How many of a kind were plugged in.
    async fn plugged(&self, kind: &str) -> Result<usize, MachineError> {
        let path = json!({ "path": "/machine/peripheral" });
        let devices = self.qmp("qom-list", path).await?;
        let names = devices.as_array().into_iter().flatten();
        let names = names.filter_map(|device| device["name"].as_str());
        Ok(names.filter(|name| name.starts_with(kind)).count())
    }
}

const DISK: &str = "plugged_disk";
const CARD: &str = "plugged_card";
const NETWORK_CARD: &str = "virtio-net-pci";

/// What was plugged into a machine that is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Plugged {
    /// Its disks' files.
    drives: Vec<SavedDrive>,
    networks: Vec<PluggedNetwork>,
    devices: Vec<PluggedDevice>,
}

/// A network of QEMU's. No other key of `netdev_add` is taken from a kept machine, which another person
/// may have sent: some start programs (`guestfwd`, `smb`).
#[derive(Debug, Serialize, Deserialize)]
struct PluggedNetwork {
    id: String,
    net: String,
}

/// A disk or a card.
#[derive(Debug, Serialize, Deserialize)]
struct PluggedDevice {
    driver: String,
    id: String,
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
    pub(super) fn drives(&self) -> &[SavedDrive] {
        &self.drives
    }
}

impl PluggedDevice {
    /// It must be one that this harness plugs in.
    fn check(&self) -> Result<(), String> {
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

/// The arguments of each such command.
fn all<T: DeserializeOwned>(settings: &[Setting], command: &str) -> Vec<T> {
    let all = settings.iter().filter(|one| one.command == command);
    all.filter_map(|one| serde_json::from_value(one.arguments.clone()).ok())
        .collect()
}

/// What a disk is attached to.
fn node(id: &str, file: &Path, format: Format) -> Value {
    json!({
        "driver": format.name(), "node-name": id, "file": { "driver": "file", "filename": file },
    })
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
