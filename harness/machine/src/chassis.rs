//! What stays of a machine while one QEMU takes the place of another: its files and disks, its port,
//! and what QEMU was told that must hold.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::cache::Served;
use super::lines::Lines;
use super::plan::{MemoryFile, Plan};
use super::qmp::{Qmp, Resets};
use super::{MachineError, MachineSpec, launch};
use crate::log_dir::LogDir;
use crate::services::registry::Registry;
use base::private_dir::PrivateFolder;
use base::process::Owned;
use host::port;

/// What a machine is made with, also after a power cut.
#[derive(Clone)]
pub(super) struct Make {
    /// What it was asked to be.
    pub(super) spec: MachineSpec,
    pub(super) logs: LogDir,
    pub(super) _port: Option<Arc<port::Kept>>,
    /// The registry beside it.
    pub(super) _registry: Option<Arc<Registry>>,
    pub(super) folder: Arc<PrivateFolder>,
}

/// What a QEMU was told while it ran, and the next one must be told, too.
#[derive(Clone)]
pub(super) struct Setting {
    /// What it is part of.
    pub(super) of: String,
    pub(super) command: &'static str,
    pub(super) arguments: Value,
}

/// A QEMU.
pub(super) struct Running {
    pub(super) qemu: Owned,
    pub(super) qmp: Arc<Qmp>,
    pub(super) plan: Plan,
}

/// The QEMU of now.
struct Now {
    running: Arc<Running>,
    /// There will be no other.
    stopped: bool,
}

/// A machine, whichever QEMU it is.
pub(super) struct Chassis {
    // In this order: the folder goes last.
    now: watch::Sender<Now>,
    pub(super) disks: Vec<Served>,
    pub(super) resets: Resets,
    settings: Mutex<Vec<Setting>>,
    pub(super) make: Make,
}

impl Make {
    /// Starts QEMU and gives its lines away. QEMU runs the guest when this returns, unless it waits
    /// for a saved state; where there are settings they hold before the guest's first instruction.
    async fn start(
        &self,
        plan: Plan,
        disks: &[Served],
        lines: &Lines,
        resets: &Resets,
        settings: &[Setting],
    ) -> Result<Running, MachineError> {
        let start = |error: std::io::Error| MachineError::Start(error.to_string());
        let (qemu, logs) = (&self.spec.profile.qemu, &self.logs);
        let waits = !settings.is_empty();
        let launched = launch::launch(qemu, &plan, waits, disks, logs).map_err(start)?;
        lines.lead_to(launched.serial, launched.events);
        let log = logs.append("qmp.log").map_err(start)?;
        let qmp = Qmp::new(launched.qmp, log, Arc::clone(resets));
        launch::greet(&launched.qemu, &qmp, &plan, logs).await?;
        for Setting {
            command, arguments, ..
        } in settings
        {
            qmp.execute(command, arguments.clone()).await?;
        }
        if waits {
            qmp.execute("cont", Value::Null).await?;
        }
        Ok(Running {
            qemu: launched.qemu,
            qmp: Arc::new(qmp),
            plan,
        })
    }
}

impl Chassis {
    /// Starts the first QEMU, with what held in the machine before a power cut.
    pub(super) async fn new(
        make: Make,
        plan: Plan,
        settings: Vec<Setting>,
        lines: &Lines,
    ) -> Result<Self, MachineError> {
        let disks = launch::served(&plan).map_err(|e| MachineError::Start(e.to_string()))?;
        let resets = Resets::default();
        let running = make.start(plan, &disks, lines, &resets, &settings);
        let running = Arc::new(running.await?);
        let stopped = false;
        Ok(Self {
            now: watch::Sender::new(Now { running, stopped }),
            disks,
            resets,
            settings: Mutex::new(settings),
            make,
        })
    }

    /// The QEMU of now, or the last one.
    pub(super) fn now(&self) -> Arc<Running> {
        Arc::clone(&self.now.borrow().running)
    }

    /// Comes back when another QEMU took the place of that of now.
    pub(super) async fn replaced(&self, qmp: &Arc<Qmp>) {
        let other = |now: &Now| !Arc::ptr_eq(&now.running.qmp, qmp);
        let _ = self.now.subscribe().wait_for(other).await;
    }

    /// Ends QEMU, and no other takes its place.
    pub(super) fn stop(&self) {
        self.now.send_modify(|now| now.stopped = true);
        self.now().qemu.kill();
    }

    /// Whether it was stopped from here.
    pub(super) fn is_stopped(&self) -> bool {
        self.now.borrow().stopped
    }

    /// What must hold in the next QEMU, too, until it is [forgotten](Self::forget).
    pub(super) fn remember(&self, of: &str, command: &'static str, arguments: Value) {
        let of = of.to_owned();
        self.settings().push(Setting {
            of,
            command,
            arguments,
        });
    }

    /// All that is part of something holds no longer.
    pub(super) fn forget(&self, of: &str) {
        self.settings().retain(|setting| setting.of != of);
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Vec<Setting>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What another QEMU is started with.
    pub(super) fn next(&self) -> Next {
        self.resets.fetch_add(1, Ordering::Relaxed);
        Next {
            make: self.make.clone(),
            plan: self.now().plan.clone().powered_on(),
            disks: self.disks.clone(),
            resets: Arc::clone(&self.resets),
            settings: self.settings().clone(),
        }
    }

    /// From now on it is this QEMU, unless the machine was stopped.
    pub(super) fn go_on_with(&self, running: Running) -> bool {
        self.now.send_if_modified(|now| {
            if !now.stopped {
                now.running = Arc::new(running);
            }
            !now.stopped
        })
    }
}

/// All that another QEMU is started with: nobody need hold the machine meanwhile.
pub(super) struct Next {
    make: Make,
    plan: Plan,
    disks: Vec<Served>,
    resets: Resets,
    settings: Vec<Setting>,
}

impl Next {
    /// Starts it, as the one before was in the end.
    pub(super) async fn start(self, lines: &Lines) -> Result<Running, MachineError> {
        if let Some(MemoryFile::Written(file)) = &self.plan.memory_file {
            // It is made anew: what was in memory is gone.
            let _ = std::fs::remove_file(file);
        }
        let make = &self.make;
        let (disks, settings) = (&self.disks, &self.settings);
        make.start(self.plan, disks, lines, &self.resets, settings)
            .await
    }
}
