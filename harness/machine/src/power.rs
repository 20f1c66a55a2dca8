//! Power on, and a power cut: the machine is gone at once, and so is what its disks had not written
//! for good.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fastrand::Rng;
use serde_json::json;
use tokio::sync::watch;

use super::badness::Rules;
use super::cache::Served;
use super::chassis::{Chassis, Make, Setting};
use super::events::Events;
use super::lines::Lines;
use super::plan::Plan;
use super::ssh::{Identity, Target};
use super::tasks::Keeper;
use super::{Loss, Machine, MachineError, Serial};
use base::clock::now;

/// What is told of each power cut, in the evidence folder.
const LOG: &str = "power-cuts.jsonl";

impl Machine {
    /// Starts QEMU and takes its lines over; the evidence has so many `earlier` boots already.
    pub(super) async fn launch(
        make: Make,
        plan: Plan,
        settings: Vec<Setting>,
        identity: Identity,
        told_before: bool,
        earlier: usize,
    ) -> Result<Self, MachineError> {
        let start = |error: std::io::Error| MachineError::Start(error.to_string());
        let logs = make.logs.clone();
        let log = |name: &str| logs.append(name).map_err(start);
        let (tell, bad) = watch::channel(None);
        let (lines, serial, events) = Lines::new();
        let serial = Serial::new(
            serial,
            log("serial.log")?,
            log("serial.times")?,
            Rules::of(&[&make.spec.profile.profile.console, &make.spec.console]),
            tell.clone(),
        );
        let events = Events::new(events, log("events.jsonl")?, earlier);
        let port = plan.ssh_port;
        let chassis = Arc::new(Chassis::new(make, plan, settings, &lines).await?);
        let off_meant = Arc::new(AtomicBool::new(false));
        let (tell_end, over) = watch::channel(None);
        let keeper = Keeper {
            chassis: Arc::downgrade(&chassis),
            lines,
            logs,
            off_meant: Arc::clone(&off_meant),
            tell,
            over: tell_end,
        };
        tokio::spawn(keeper.run());
        let target = Target {
            port,
            identity: Arc::new(identity),
            resets: Arc::clone(&chassis.resets),
            qemu: chassis.now().qemu.pid(),
        };
        Ok(Self {
            forwards: tokio::sync::Mutex::default(),
            chassis,
            serial,
            events,
            bad,
            gates: std::sync::Mutex::default(),
            off_meant,
            over,
            target,
            told_before,
        })
    }

    /// Cuts the power. Of what the guest wrote after its last flush, each write is kept, lost, or
    /// torn between its sectors, in a pattern drawn from `seed`. Gives the machine that is powered
    /// on in its place (without waiting for the guest), and what each disk lost.
    ///
    /// # Errors
    /// The machine was started without write caches; its disks cannot be written; QEMU cannot be
    /// started again.
    pub async fn power_cut(&self, seed: u64) -> Result<(Self, Vec<(String, Loss)>), MachineError> {
        let now = self.chassis.now();
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
        self.chassis.disks.iter().for_each(Served::switch_off);
        self.stop().await;
        self.ended().await;
        self.forwards.lock().await.clear();
    }

    fn lose(&self, seed: u64) -> Result<Vec<(String, Loss)>, MachineError> {
        let failed =
            |id: &str, error| MachineError::Other(format!("{id} cannot be written: {error}"));
        let mut patterns = Rng::with_seed(seed);
        let lost = self.chassis.disks.iter().map(|disk| {
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
        let written = self.chassis.make.logs.append(LOG).and_then(write);
        written.map_err(|error| MachineError::Other(format!("{LOG}: {error}")))
    }

    /// The same machine from power-on, also where this one went on from a saved one. What was plugged
    /// in, pulled or broken stays so.
    async fn power_on_again(&self) -> Result<Self, MachineError> {
        let make = self.chassis.make.clone();
        let plan = self.chassis.now().plan.clone().powered_on();
        let identity = Identity::new(plan.nonce.clone(), plan.direct.is_some());
        let (told, boots) = (self.tells_of_its_boot(), self.events.boots());
        let settings = self.chassis.settings().clone();
        Self::launch(make, plan, settings, identity, told, boots).await
    }
}
