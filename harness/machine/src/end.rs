//! How a machine ends.

use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Badness, Machine, MachineError, tasks};
use base::process;
use base::wait::{Poll, WaitError, wait_until};
use host::speed;

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
        let press = async {
            let pressed = self.qmp("system_powerdown", serde_json::Value::Null);
            pressed.await.map(drop)
        };
        self.ends_by(press, limit).await
    }

    /// Gives an order, and waits for the guest to switch the machine off.
    ///
    /// # Errors
    /// As for [`Machine::power_off`], and those of the order.
    pub async fn ends_by<E: From<MachineError>>(
        &self,
        order: impl Future<Output = Result<(), E>>,
        limit: Duration,
    ) -> Result<(), E> {
        self.off_meant.store(true, Ordering::Relaxed);
        let ends = async {
            tokio::select! {
                ordered = order => {
                    ordered?;
                    self.ended().await;
                }
                // Who gave it may not hear of it.
                _ = self.ended() => {}
            }
            Ok::<_, E>(())
        };
        let ended = tokio::time::timeout(limit, ends).await;
        self.off_meant
            .store(matches!(ended, Ok(Ok(()))), Ordering::Relaxed);
        let late = || WaitError::deadline("powering off", limit, "a machine that runs");
        ended.map_err(|_| MachineError::from(late()))??;
        Ok(self.was_the_guest().await?)
    }

    /// An error where QEMU did not end because of the guest.
    async fn was_the_guest(&self) -> Result<(), MachineError> {
        match self.now_qmp().last_told().await.shutdown.as_deref() {
            Some(tasks::GUEST_SHUTDOWN) => Ok(()),
            other => Err(MachineError::Other(format!(
                "QEMU ended, but not because the guest switched the machine off: {}",
                other.unwrap_or("it did not say why")
            ))),
        }
    }

    /// Switches off a machine that has stopped by itself.
    pub async fn switch_off(&self) {
        self.off_meant.store(true, Ordering::Relaxed);
        self.stop().await;
        self.ended().await;
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

    /// Whether the machine is off, as the guest was asked to switch it off.
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
        let limit = speed::seconds(1);
        let _ = tokio::time::timeout(limit, self.serial.closed()).await;
    }
}
