//! Links between machines: network cards on a network that other machines are attached to.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use switch::{Attachment, Network, NetworkSettings};

use super::hotplug::{CARD, in_slot};
use super::machine::Machine;
use super::process::QmpSetting;
use crate::error::MachineError;
use crate::qemu::plugged::{NETWORK_CARD, hardware_address};

/// The links of a machine, also across a power cut.
pub(super) type Links = Arc<Mutex<Vec<Attachment>>>;

impl Machine {
    /// Plugs in a network card and attaches it to a network. `name` is the machine's name there; `number`,
    /// from 1, decides its addresses, which stay the same in each fork.
    ///
    /// # Errors
    /// A machine of this name is attached; the subnet has no such address; no slot is free; QEMU's error.
    pub async fn attach(
        &self,
        network: &Network,
        name: &str,
        number: u32,
    ) -> Result<(), MachineError> {
        let other = |error: switch::NetworkError| MachineError::Other(error.to_string());
        let mut link = network.attach(name, number).map_err(other)?;
        let id = format!("{CARD}{}", self.plugged(CARD).await?);
        let slot = self.free_slot().await?;
        self.plug_link(&id, link.socket.take().map(Arc::new))
            .await?;
        let card = json!({
            "driver": NETWORK_CARD, "id": id, "netdev": id, "romfile": "",
            "mac": hardware_address(link.mac),
        });
        self.set(&id, "device_add", in_slot(card, slot)).await?;
        self.keep_link(link);
        Ok(())
    }

    /// Creates a link to a network without other machines, for a machine that is restored alone.
    pub(super) async fn plug_lone_link(&self, id: &str) -> Result<(), MachineError> {
        let other = |error: &dyn std::fmt::Display| MachineError::Other(error.to_string());
        // The card has its hardware address from the snapshot, and nobody serves addresses.
        let subnet = "192.0.2.0/24"
            .parse()
            .map_err(|error: switch::SubnetError| other(&error))?;
        let name = id.to_owned();
        let network = Network::new(NetworkSettings {
            name,
            subnet,
            dhcp: false,
        });
        let mut link = network.attach(id, 1).map_err(|error| other(&error))?;
        self.plug_link(id, link.socket.take().map(Arc::new)).await?;
        self.keep_link(link);
        Ok(())
    }

    fn keep_link(&self, link: Attachment) {
        let links = &self.vm.resources.links;
        links
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(link);
    }

    /// Creates QEMU's end of a link. Each datagram of the socket is a frame (net/dgram.c in QEMU); the next
    /// QEMU gets the same socket.
    async fn plug_link(
        &self,
        id: &str,
        socket: Option<Arc<std::os::fd::OwnedFd>>,
    ) -> Result<(), MachineError> {
        self.apply(QmpSetting {
            owner: id.to_owned(),
            command: "getfd",
            arguments: json!({ "fdname": id }),
            descriptor: socket,
        })
        .await?;
        let local = json!({ "type": "fd", "str": id });
        let backend = json!({ "type": "dgram", "id": id, "local": local });
        self.set(id, "netdev_add", backend).await
    }
}
