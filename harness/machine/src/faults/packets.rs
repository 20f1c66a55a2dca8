//! Packets of a network that are late or lost: QEMU hands each packet to this process and back.

use serde_json::json;
use tokio::task::JoinSet;

use crate::error::MachineError;
use crate::network::relay::{Disturbance, carry};
use crate::qemu::nonce::random_word;
use crate::vm::Machine;

/// Both ways, as QEMU calls them: out of the guest and into it.
const WAYS: [&str; 2] = ["tx", "rx"];

/// A network that is disturbed, until [`Machine::calm`].
#[derive(Debug)]
pub struct Relay {
    network: String,
    /// By which the machine remembers it.
    word: String,
    /// In the order in which they were made.
    parts: Vec<Part>,
    tasks: JoinSet<()>,
}

/// What QEMU was given.
#[derive(Debug)]
enum Part {
    Line(String),
    Filter(String),
}

impl Machine {
    /// Disturbs a network (by QEMU's name for it) from now on.
    ///
    /// # Errors
    /// It is disturbed already; QEMU's error.
    pub async fn disturb(
        &self,
        network: &str,
        disturbance: Disturbance,
    ) -> Result<Relay, MachineError> {
        let mut relay = Relay {
            network: network.to_owned(),
            word: random_word(),
            parts: Vec::new(),
            tasks: JoinSet::new(),
        };
        for way in WAYS {
            if let Err(error) = self.divert(&mut relay, way, disturbance).await {
                let _ = self.calm(relay).await;
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
        let out = self.line(&relay.word, &from).await?;
        relay.parts.push(Part::Line(from));
        let into = self.line(&relay.word, &back).await?;
        relay.parts.push(Part::Line(back));
        let filter = json!({
            "qom-type": "filter-redirector",
            "id": name,
            "netdev": relay.network,
            "queue": way,
            "outdev": format!("{name}-from-qemu"),
            "indev": format!("{name}-to-qemu"),
        });
        self.set(&relay.word, "object-add", filter).await?;
        relay.parts.push(Part::Filter(name));
        relay.tasks.spawn(carry(out, into, disturbance));
        Ok(())
    }

    /// Packets go their own way again; those that were to come late are lost.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn calm(&self, mut relay: Relay) -> Result<(), MachineError> {
        self.forget(&relay.word);
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
