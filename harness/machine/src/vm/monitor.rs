//! The task that waits for QEMU to exit. After a reset of an emulated guest it starts the next QEMU;
//! otherwise it reports the exit.
//!
//! A reset within one process would be correct as well, but an emulated boot that is not the first of
//! its QEMU process takes two to three times as long.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::vm::Vm;
use crate::error::{GuestFailure, MachineError};
use crate::lines::Lines;
use crate::log_dir::LogDir;
use crate::qemu::launch;
use base::process::describe;

/// The reason of QEMU's SHUTDOWN event when the guest switches the machine off.
pub(super) const GUEST_SHUTDOWN: &str = "guest-shutdown";
/// The reasons when the machine is reset, by the guest or from outside.
const RESETS: [&str; 2] = ["guest-reset", "host-qmp-system-reset"];

/// Keeps a machine running across resets.
pub(super) struct Monitor {
    /// Weak: dropping the machine kills QEMU, and that ends this task.
    pub(super) vm: Weak<Vm>,
    pub(super) lines: Lines,
    pub(super) logs: LogDir,
    /// The guest was asked to switch the machine off.
    pub(super) power_off_expected: Arc<AtomicBool>,
    /// The first failure of the guest or of QEMU.
    pub(super) failure: watch::Sender<Option<GuestFailure>>,
    /// How the last QEMU exited.
    pub(super) exit: watch::Sender<Option<ExitStatus>>,
}

impl Monitor {
    /// Runs until the last QEMU has exited. That is a failure unless the guest was expected to switch the
    /// machine off, or [`Vm::stop`] was called.
    pub(super) async fn run(self) {
        while let Some((status, shutdown)) = self.exited().await {
            let restarted = match shutdown.as_deref() {
                Some(reason) if RESETS.contains(&reason) => self.restart().await,
                _ => Ok(false),
            };
            if let Ok(true) = restarted {
                continue;
            }
            let stopped = self.vm.upgrade().is_none_or(|vm| vm.is_stopped());
            if !stopped {
                self.report(status, shutdown, restarted.err());
            }
            self.exit.send_replace(Some(status));
            return;
        }
    }

    /// Waits for the current QEMU to exit. Returns its status and the reason of its SHUTDOWN event.
    async fn exited(&self) -> Option<(ExitStatus, Option<String>)> {
        let (mut ended, qmp) = {
            let process = self.vm.upgrade()?.process();
            (process.qemu.ended(), Arc::clone(&process.qmp))
        };
        let status = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|s| *s)?;
        // The control connection closed when QEMU exited, so all events can be read.
        Some((status, qmp.last_reported().await.shutdown))
    }

    /// Starts the next QEMU. Returns `false` if the machine was stopped or dropped meanwhile.
    async fn restart(&self) -> Result<bool, MachineError> {
        let vm = self.vm.upgrade().filter(|vm| !vm.is_stopped());
        let Some(plan) = vm.map(|vm| vm.restart_plan()) else {
            return Ok(false);
        };
        let process = plan.restart(&self.lines).await?;
        let vm = self.vm.upgrade();
        Ok(vm.is_some_and(|vm| vm.replace(process)))
    }

    fn report(&self, status: ExitStatus, shutdown: Option<String>, restart: Option<MachineError>) {
        let powered_off = shutdown.as_deref() == Some(GUEST_SHUTDOWN);
        if powered_off && self.power_off_expected.load(Ordering::Relaxed) {
            return;
        }
        let reason = shutdown.map(|reason| format!(" after {reason}"));
        let detail = match restart {
            Some(error) => format!("and the next QEMU did not start: {error}"),
            None => launch::log_tail(&self.logs),
        };
        let text = format!(
            "{}{} {detail}",
            describe(status),
            reason.unwrap_or_default()
        );
        let failure = if powered_off {
            GuestFailure::PoweredOff
        } else {
            GuestFailure::QemuEnded(text.trim().to_owned())
        };
        self.failure.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
    }
}
