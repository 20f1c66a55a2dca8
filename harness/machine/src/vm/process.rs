//! One QEMU process, and the plan that starts the next one.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde_json::Value;

use super::vm::Resources;
use crate::disk::write_cache::Served;
use crate::error::MachineError;
use crate::lines::Lines;
use crate::qemu::launch;
use crate::qemu::plan::{MemoryFile, Plan};
use crate::qemu::qmp::{Qmp, Resets};
use base::process::Owned;

/// A running QEMU.
pub(super) struct QemuProcess {
    pub(super) qemu: Owned,
    pub(super) qmp: Arc<Qmp>,
    pub(super) plan: Plan,
}

/// A QMP command that was executed while the machine ran and that the next QEMU needs as well.
#[derive(Clone)]
pub(super) struct QmpSetting {
    /// The device or fault that it belongs to.
    pub(super) owner: String,
    pub(super) command: &'static str,
    pub(super) arguments: Value,
    /// What the command takes beside its arguments.
    pub(super) descriptor: Option<Arc<OwnedFd>>,
}

/// Everything that a QEMU is started with. It does not borrow from the machine, so that a machine can be
/// dropped while its next QEMU starts.
pub(super) struct RestartPlan {
    pub(super) resources: Resources,
    pub(super) plan: Plan,
    pub(super) disks: Vec<Served>,
    pub(super) resets: Resets,
    pub(super) settings: Vec<QmpSetting>,
}

impl RestartPlan {
    /// Starts QEMU and connects its lines. When this returns, the guest runs, unless QEMU waits for a saved
    /// state. The settings hold before the guest's first instruction.
    pub(super) async fn start(self, lines: &Lines) -> Result<QemuProcess, MachineError> {
        let start = |error: std::io::Error| MachineError::Start(error.to_string());
        let (qemu, logs) = (&self.resources.spec.profile.qemu, &self.resources.logs);
        let waits = !self.settings.is_empty();
        let launched = launch::launch(qemu, &self.plan, waits, &self.disks, logs).map_err(start)?;
        lines.lead_to(launched.serial, launched.events);
        let log = logs.append("qmp.log").map_err(start)?;
        let qmp = Qmp::new(launched.qmp, log, self.resets);
        launch::greet(&launched.qemu, &qmp, &self.plan, logs).await?;
        for setting in self.settings {
            let descriptor = setting.descriptor.as_deref();
            qmp.execute_with(setting.command, setting.arguments, descriptor)
                .await?;
        }
        if waits {
            qmp.execute("cont", Value::Null).await?;
        }
        Ok(QemuProcess {
            qemu: launched.qemu,
            qmp: Arc::new(qmp),
            plan: self.plan,
        })
    }

    /// Starts QEMU after a reset. Creates the memory file again: its content is lost.
    pub(super) async fn restart(self, lines: &Lines) -> Result<QemuProcess, MachineError> {
        if let Some(MemoryFile::Written(file)) = &self.plan.memory_file {
            let _ = std::fs::remove_file(file);
        }
        self.start(lines).await
    }
}
