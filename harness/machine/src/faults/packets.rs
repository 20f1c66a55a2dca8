//! Delayed or lost packets of a network: QEMU passes each packet through this process.

use serde_json::json;
use tokio::task::JoinSet;

use crate::error::MachineError;
use crate::network::relay::{Disturbance, carry};
use crate::qemu::nonce::random_nonce;
use crate::vm::Machine;

/// Both directions, in QEMU's terms: out of the guest and into it.
const WAYS: [&str; 2] = ["tx", "rx"];

/// A network with a fault, until [`Machine::restore_packets`] reverts it.
#[derive(Debug)]
pub struct Relay {
    network: String,
    /// Owner of the QMP settings.
    owner: String,
    /// In order of creation.
    parts: Vec<Part>,
    tasks: JoinSet<()>,
}

/// An object that was created in QEMU.
#[derive(Debug)]
enum Part {
    Line(String),
    Filter(String),
}

impl Machine {
    /// Delays or drops packets of a network (by QEMU's name for it) from now on.
    ///
    /// # Errors
    /// The network has such a fault already; QEMU's error.
    pub async fn disturb_packets(
        &self,
        network: &str,
        disturbance: Disturbance,
    ) -> Result<Relay, MachineError> {
        let mut relay = Relay {
            network: network.to_owned(),
            owner: random_nonce(),
            parts: Vec::new(),
            tasks: JoinSet::new(),
        };
        for way in WAYS {
            if let Err(error) = self.divert(&mut relay, way, disturbance).await {
                let _ = self.restore_packets(relay).await;
                return Err(error);
            }
        }
        Ok(relay)
    }

    async fn divert(
        &self,
        relay: &mut Relay,
        way: &'static str,
        disturbance: Disturbance,
    ) -> Result<(), MachineError> {
        let name = format!("{}-{way}", relay.network);
        let (from, back) = (format!("{name}-from-qemu"), format!("{name}-to-qemu"));
        let out = self.line(&relay.owner, &from).await?;
        relay.parts.push(Part::Line(from));
        let into = self.line(&relay.owner, &back).await?;
        relay.parts.push(Part::Line(back));
        let filter = json!({
            "qom-type": "filter-redirector",
            "id": name,
            "netdev": relay.network,
            "queue": way,
            "outdev": format!("{name}-from-qemu"),
            "indev": format!("{name}-to-qemu"),
        });
        self.set(&relay.owner, "object-add", filter).await?;
        relay.parts.push(Part::Filter(name));
        relay.tasks.spawn(carry(out, into, disturbance));
        Ok(())
    }

    /// Reverts the fault. Delayed packets that are on their way are lost.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn restore_packets(&self, mut relay: Relay) -> Result<(), MachineError> {
        self.forget(&relay.owner);
        for part in relay.parts.drain(..).rev() {
            let (command, id) = match part {
                Part::Filter(id) => ("object-del", id),
                Part::Line(id) => ("chardev-remove", id),
            };
            self.qmp(command, json!({ "id": id })).await?;
        }
        Ok(())
    }
}
