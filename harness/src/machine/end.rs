//! How a machine ends.

use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Badness, Machine, MachineError, process, tasks};
use crate::host::scale;
use crate::poll::{Poll, WaitError, wait_until};

impl Machine {
    /// Why QEMU shut down, in its own words (`guest-shutdown`, ...), once it does.
    pub fn shutdown_reason(&self) -> Option<String> {
        self.now_qmp().told().shutdown
    }

    /// Presses the power button and waits for the guest to switch the machine off.
    ///
    /// # Errors
    /// It does not within `limit`, or QEMU ended for another reason.
    pub async fn power_off(&self, limit: Duration) -> Result<(), MachineError> {
        self.off_meant.store(true, Ordering::Relaxed);
        self.qmp("system_powerdown", serde_json::Value::Null)
            .await?;
        let wait = tokio::time::timeout(limit, self.ended()).await;
        self.off_meant.store(wait.is_ok(), Ordering::Relaxed);
        if wait.is_err() {
            return Err(WaitError::deadline("powering off", limit, "a machine that runs").into());
        }
        match self.now_qmp().last_told().await.shutdown.as_deref() {
            Some(tasks::GUEST_SHUTDOWN) => Ok(()),
            other => Err(MachineError::Other(format!(
                "QEMU ended, but not because the guest switched the machine off: {}",
                other.unwrap_or("it did not say why")
            ))),
        }
    }

    /// How often it was reset, by the guest or from outside.
    pub fn resets(&self) -> u64 {
        self.target.resets.load(Ordering::Relaxed)
    }

    /// Waits until it has been reset once more than it had `before`.
    ///
    /// # Errors
    /// The deadline.
    pub async fn wait_reset(&self, before: u64, limit: Duration) -> Result<(), MachineError> {
        let look = async || match self.resets() > before {
            true => Poll::Ready(()),
            false => Poll::NotYet("a machine that runs".into()),
        };
        Ok(wait_until("the end of the machine", limit, look).await?)
    }

    /// Whether the guest switched the machine off, as it was asked to by its power button.
    pub fn was_switched_off(&self) -> bool {
        self.off_meant.load(Ordering::Relaxed) && self.is_over()
    }

    /// Whether QEMU has ended.
    pub fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }

    /// Waits until QEMU has ended by itself.
    pub async fn wait_ended(&self) -> Badness {
        let status = self.ended().await;
        Badness::QemuEnded(status.map_or_else(|| "it is gone".into(), process::describe))
    }

    /// Waits for the end of the last QEMU.
    pub(super) async fn ended(&self) -> Option<ExitStatus> {
        let mut over = self.over.clone();
        over.wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|over| *over)
    }

    /// Ends the machine now, and comes back when all it said is in the evidence.
    pub async fn stop(&self) {
        self.chassis.stop();
        // The serial port closes with QEMU, after its last byte was kept.
        let limit = scale::seconds(1);
        let _ = tokio::time::timeout(limit, self.serial.closed()).await;
    }
}
