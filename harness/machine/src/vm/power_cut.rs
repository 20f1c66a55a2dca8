//! Power cut: QEMU is killed at once, and disks lose writes that were not flushed. Then the machine is
//! powered on again.

use super::start::History;

use fastrand::Rng;
use serde_json::json;

use super::machine::Machine;
use crate::disk::write_cache::Loss;
use crate::disk::write_cache::Served;
use crate::error::MachineError;
use crate::ssh::Identity;
use base::clock::now;

/// The log of power cuts, in the evidence folder.
const LOG: &str = "power-cuts.jsonl";

impl Machine {
    /// Cuts the power. Each write after the guest's last flush is kept, lost, or torn between its
    /// sectors, in a pattern derived from `seed`. Returns the machine that is powered on in its place
    /// (without waiting for the guest), and what each disk lost.
    ///
    /// # Errors
    /// The machine was started without write caches; its disks cannot be written; QEMU cannot be
    /// started again.
    pub async fn power_cut(&self, seed: u64) -> Result<(Self, Vec<(String, Loss)>), MachineError> {
        let now = self.vm.process();
        let mut drives = now.plan.drives.iter();
        if drives.any(|drive| !drive.read_only && drive.socket.is_none()) {
            let why = "cannot cut the power: the disks of this machine have no write cache";
            return Err(MachineError::Other(why.into()));
        }
        self.kill_unreported().await;
        let lost = self.lose(seed)?;
        let machine = self.power_on_again().await?;
        Ok((machine, lost))
    }

    /// Kills QEMU at any point, without reporting its exit.
    async fn kill_unreported(&self) {
        self.vm.disks.iter().for_each(Served::cut_power);
        self.stop().await;
        self.ended().await;
        self.forwards.lock().await.clear();
    }

    fn lose(&self, seed: u64) -> Result<Vec<(String, Loss)>, MachineError> {
        let failed =
            |id: &str, error| MachineError::Other(format!("cannot write to {id}: {error}"));
        let mut patterns = Rng::with_seed(seed);
        let lost = self.vm.disks.iter().map(|disk| {
            // A random generator of its own: the losses of one disk do not change those of the next.
            let loss = disk.lose(&mut patterns.fork());
            loss.map(|loss| (disk.id().to_owned(), loss))
                .map_err(|e| failed(disk.id(), e))
        });
        let lost = lost.collect::<Result<Vec<_>, _>>()?;
        self.log_losses(seed, &lost)?;
        Ok(lost)
    }

    fn log_losses(&self, seed: u64, lost: &[(String, Loss)]) -> Result<(), MachineError> {
        let disks: serde_json::Map<_, _> = lost
            .iter()
            .map(|(id, loss)| (id.clone(), json!(loss)))
            .collect();
        let line = json!({ "at": now(), "seed": seed, "disks": disks });
        let write = |mut log| std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes());
        let written = self.vm.resources.logs.append(LOG).and_then(write);
        written.map_err(|error| MachineError::Other(format!("{LOG}: {error}")))
    }

    /// Starts the same machine at power-on, even if it was forked from a checkpoint. Plugged-in devices
    /// and active faults stay.
    async fn power_on_again(&self) -> Result<Self, MachineError> {
        let resources = self.vm.resources.clone();
        let plan = self.vm.process().plan.clone().at_power_on();
        let identity = Identity::new(plan.nonce.clone(), plan.direct.is_some());
        let history = History {
            reported_boot: self.reports_boot(),
            earlier_boots: self.events.boots(),
        };
        let settings = self.vm.settings().clone();
        Self::launch(resources, plan, settings, identity, history).await
    }
}
