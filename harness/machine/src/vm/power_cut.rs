//! Power on, and a power cut: the machine is gone at once, and so is what its disks had not written
//! for good.

use super::start::History;

use fastrand::Rng;
use serde_json::json;

use super::machine::Machine;
use crate::disk::write_cache::Loss;
use crate::disk::write_cache::Served;
use crate::error::MachineError;
use crate::ssh::Identity;
use base::clock::now;

/// What is told of each power cut, in the evidence folder.
const LOG: &str = "power-cuts.jsonl";

impl Machine {
    /// Cuts the power. Of what the guest wrote after its last flush, each write is kept, lost, or
    /// torn between its sectors, in a pattern drawn from `seed`. Gives the machine that is powered
    /// on in its place (without waiting for the guest), and what each disk lost.
    ///
    /// # Errors
    /// The machine was started without write caches; its disks cannot be written; QEMU cannot be
    /// started again.
    pub async fn power_cut(&self, seed: u64) -> Result<(Self, Vec<(String, Loss)>), MachineError> {
        let now = self.vm.process();
        let mut drives = now.plan.drives.iter();
        if drives.any(|drive| !drive.read_only && drive.socket.is_none()) {
            let why = "the disks of this machine have no write cache that a power cut could empty";
            return Err(MachineError::Other(why.into()));
        }
        self.vanish().await;
        let lost = self.lose(seed)?;
        let machine = self.power_on_again().await?;
        Ok((machine, lost))
    }

    /// Ends QEMU in the middle of whatever it does, without telling anybody that it ended.
    async fn vanish(&self) {
        self.vm.disks.iter().for_each(Served::switch_off);
        self.stop().await;
        self.ended().await;
        self.forwards.lock().await.clear();
    }

    fn lose(&self, seed: u64) -> Result<Vec<(String, Loss)>, MachineError> {
        let failed =
            |id: &str, error| MachineError::Other(format!("{id} cannot be written: {error}"));
        let mut patterns = Rng::with_seed(seed);
        let lost = self.vm.disks.iter().map(|disk| {
            // A pattern of its own: what one disk had to lose does not change the next one's.
            let loss = disk.lose(&mut patterns.fork());
            loss.map(|loss| (disk.id().to_owned(), loss))
                .map_err(|e| failed(disk.id(), e))
        });
        let lost = lost.collect::<Result<Vec<_>, _>>()?;
        self.write_down(seed, &lost)?;
        Ok(lost)
    }

    fn write_down(&self, seed: u64, lost: &[(String, Loss)]) -> Result<(), MachineError> {
        let disks: serde_json::Map<_, _> = lost
            .iter()
            .map(|(id, loss)| (id.clone(), json!(loss)))
            .collect();
        let line = json!({ "at": now(), "seed": seed, "disks": disks });
        let write = |mut log| std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes());
        let written = self.vm.resources.logs.append(LOG).and_then(write);
        written.map_err(|error| MachineError::Other(format!("{LOG}: {error}")))
    }

    /// The same machine from power-on, also where this one went on from a saved one. What was plugged
    /// in, pulled or broken stays so.
    async fn power_on_again(&self) -> Result<Self, MachineError> {
        let resources = self.vm.resources.clone();
        let plan = self.vm.process().plan.clone().powered_on();
        let identity = Identity::new(plan.nonce.clone(), plan.direct.is_some());
        let history = History {
            reported_boot: self.reports_boot(),
            earlier_boots: self.events.boots(),
        };
        let settings = self.vm.settings().clone();
        Self::launch(resources, plan, settings, identity, history).await
    }
}
