//! Power on, and a power cut: the machine is gone at once, and so is what its disks had not written
//! for good.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fastrand::Rng;
use serde_json::json;
use tokio::sync::watch;

use super::events::Events;
use super::folder::PrivateFolder;
use super::plan::Plan;
use super::qmp::Qmp;
use super::ssh::{Identity, Target};
use super::{Loss, Machine, MachineError, MachineSpec, Serial, launch, tasks};
use crate::evidence::{Evidence, now};

/// What is told of each power cut, in the evidence folder.
const LOG: &str = "power-cuts.jsonl";

/// What QEMU is started with, and again after a power cut.
#[derive(Clone)]
pub(super) struct Make {
    /// What it was asked to be.
    pub(super) spec: MachineSpec,
    pub(super) plan: Plan,
    pub(super) evidence: Evidence,
    pub(super) folder: Arc<PrivateFolder>,
}

impl Machine {
    /// Starts QEMU and takes its lines over; the evidence has so many `earlier` boots already.
    pub(super) async fn launch(
        make: Make,
        identity: Identity,
        told_before: bool,
        earlier: usize,
    ) -> Result<Self, MachineError> {
        let start = |error: std::io::Error| MachineError::Start(error.to_string());
        let evidence = &make.evidence;
        let log = |name: &str| evidence.append(name).map_err(start);
        let launched =
            launch::launch(&make.spec.profile.qemu, &make.plan, evidence).map_err(start)?;
        let (tell, bad) = watch::channel(None);
        let serial = Serial::new(
            launched.serial,
            log("serial.log")?,
            log("serial.times")?,
            tell.clone(),
        );
        let events = Events::new(launched.events, log("events.jsonl")?, earlier);
        let qmp = Arc::new(Qmp::new(launched.qmp, log("qmp.log")?));
        let port = launch::greet(&launched.qemu, &qmp, &make.plan, evidence).await?;
        let off_meant = Arc::new(AtomicBool::new(false));
        let end_watch = tasks::watch_end(
            &launched.qemu,
            Arc::clone(&qmp),
            evidence.clone(),
            Arc::clone(&off_meant),
            tell,
        );
        let target = Target {
            port,
            identity: Arc::new(identity),
            qmp,
        };
        let forwards = tokio::sync::Mutex::default();
        Ok(Self {
            forwards,
            qemu: launched.qemu,
            serial,
            events,
            bad,
            off_meant,
            end_watch,
            target,
            disks: launched.disks,
            told_before,
            make,
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
        let mut drives = self.make.plan.drives.iter();
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
        self.end_watch.abort();
        self.disks.iter().for_each(super::Served::switch_off);
        let mut ended = self.qemu.ended();
        self.stop().await;
        let _ = ended.wait_for(Option::is_some).await;
        self.forwards.lock().await.clear();
    }

    fn lose(&self, seed: u64) -> Result<Vec<(String, Loss)>, MachineError> {
        let failed =
            |id: &str, error| MachineError::Other(format!("{id} cannot be written: {error}"));
        let mut patterns = Rng::with_seed(seed);
        let lost = self.disks.iter().map(|disk| {
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
        let written = self.make.evidence.append(LOG).and_then(write);
        written.map_err(|error| MachineError::Other(format!("{LOG}: {error}")))
    }

    /// The same machine from power-on, also where this one went on from a saved one.
    async fn power_on_again(&self) -> Result<Self, MachineError> {
        let mut make = self.make.clone();
        (make.plan.memory_file, make.plan.incoming) = (None, false);
        let identity = Identity::new(make.plan.nonce.clone(), make.plan.direct.is_some());
        let (told, boots) = (self.tells_of_its_boot(), self.events.boots());
        Self::launch(make, identity, told, boots).await
    }
}
