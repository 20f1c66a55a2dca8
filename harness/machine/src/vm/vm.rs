//! What survives a reset of a machine: files, disks, port, and the settings that each QEMU needs.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::link::Links;
use super::process::{QemuProcess, QmpSetting, RestartPlan};
use crate::disk::write_cache::Served;
use crate::error::MachineError;
use crate::lines::Lines;
use crate::log_dir::LogDir;
use crate::qemu::launch;
use crate::qemu::plan::Plan;
use crate::qemu::qmp::{Qmp, Resets};
use crate::services::registry::Registry;
use crate::spec::MachineSpec;
use base::private_dir::PrivateFolder;
use host::port;

/// What a machine holds as long as it lives, also across a power cut.
#[derive(Clone)]
pub(super) struct Resources {
    /// The specification of the machine.
    pub(super) spec: MachineSpec,
    pub(super) logs: LogDir,
    /// Reserves the SSH port while no QEMU listens on it.
    pub(super) _port: Option<Arc<port::ReservedPort>>,
    /// The registry of the machine.
    pub(super) _registry: Option<Arc<Registry>>,
    pub(super) folder: Arc<PrivateFolder>,
    /// Its links to networks between machines.
    pub(super) links: Links,
}

/// The QEMU that runs the machine.
struct Current {
    process: Arc<QemuProcess>,
    /// The machine was stopped: no other QEMU follows.
    stopped: bool,
}

/// A machine, whichever QEMU runs it.
pub(super) struct Vm {
    // Dropped in this order: the folder goes last.
    current: watch::Sender<Current>,
    /// The disks that this process serves to QEMU.
    pub(super) disks: Vec<Served>,
    /// Number of resets.
    pub(super) resets: Resets,
    settings: Mutex<Vec<QmpSetting>>,
    pub(super) resources: Resources,
}

impl Vm {
    /// Starts the first QEMU. `settings` hold before the guest's first instruction.
    pub(super) async fn start(
        resources: Resources,
        plan: Plan,
        settings: Vec<QmpSetting>,
        lines: &Lines,
    ) -> Result<Self, MachineError> {
        let disks = launch::served(&plan).map_err(|e| MachineError::Start(e.to_string()))?;
        let resets = Resets::default();
        let restart = RestartPlan {
            resources: resources.clone(),
            plan,
            disks: disks.clone(),
            resets: Arc::clone(&resets),
            settings: settings.clone(),
        };
        let process = Arc::new(restart.start(lines).await?);
        let stopped = false;
        Ok(Self {
            current: watch::Sender::new(Current { process, stopped }),
            disks,
            resets,
            settings: Mutex::new(settings),
            resources,
        })
    }

    /// The QEMU that runs the machine, or the last one that did.
    pub(super) fn process(&self) -> Arc<QemuProcess> {
        Arc::clone(&self.current.borrow().process)
    }

    /// Waits until another QEMU has replaced the one with this control connection.
    pub(super) async fn replaced(&self, qmp: &Arc<Qmp>) {
        let other = |current: &Current| !Arc::ptr_eq(&current.process.qmp, qmp);
        let _ = self.current.subscribe().wait_for(other).await;
    }

    /// Kills QEMU; no other replaces it.
    pub(super) fn stop(&self) {
        self.current.send_modify(|current| current.stopped = true);
        self.process().qemu.kill();
    }

    /// Whether [`stop`](Self::stop) was called.
    pub(super) fn is_stopped(&self) -> bool {
        self.current.borrow().stopped
    }

    /// Records a QMP command that the next QEMU needs as well, until its `owner` is
    /// [forgotten](Self::forget).
    pub(super) fn remember(&self, setting: QmpSetting) {
        self.settings().push(setting);
    }

    /// Drops all settings of an owner.
    pub(super) fn forget(&self, owner: &str) {
        self.settings().retain(|setting| setting.owner != owner);
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Vec<QmpSetting>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a reset, and returns the plan that starts the next QEMU.
    pub(super) fn restart_plan(&self) -> RestartPlan {
        self.resets.fetch_add(1, Ordering::Relaxed);
        RestartPlan {
            resources: self.resources.clone(),
            plan: self.process().plan.clone().at_power_on(),
            disks: self.disks.clone(),
            resets: Arc::clone(&self.resets),
            settings: self.settings().clone(),
        }
    }

    /// Makes this QEMU the current one. Returns `false` if the machine was stopped meanwhile.
    pub(super) fn replace(&self, process: QemuProcess) -> bool {
        self.current.send_if_modified(|current| {
            if !current.stopped {
                current.process = Arc::new(process);
            }
            !current.stopped
        })
    }
}
