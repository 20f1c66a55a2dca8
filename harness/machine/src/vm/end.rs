//! The end of a machine: power-off, reset, exit.

use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::machine::Machine;
use super::monitor;
use crate::error::GuestFailure;
use crate::error::MachineError;
use base::process;
use base::wait::{Poll, WaitError, wait_until};
use host::speed;

impl Machine {
    /// The reason of QEMU's SHUTDOWN event (`guest-shutdown`, ...), after it was sent.
    pub fn shutdown_reason(&self) -> Option<String> {
        self.current_qmp().reported().shutdown
    }

    /// Presses the power button and waits for the guest to power off.
    ///
    /// # Errors
    /// The guest does not power off within `limit`, or QEMU exited for another reason.
    pub async fn power_off(&self, limit: Duration) -> Result<(), MachineError> {
        let press = async {
            let pressed = self.qmp("system_powerdown", serde_json::Value::Null);
            pressed.await.map(drop)
        };
        self.expect_power_off(press, limit).await
    }

    /// Runs `order`, and waits for the guest to power off.
    ///
    /// # Errors
    /// As for [`Machine::power_off`], and those of `order`.
    pub async fn expect_power_off<E: From<MachineError>>(
        &self,
        order: impl Future<Output = Result<(), E>>,
        limit: Duration,
    ) -> Result<(), E> {
        self.power_off_expected.store(true, Ordering::Relaxed);
        let ends = async {
            tokio::select! {
                ordered = order => {
                    ordered?;
                    self.ended().await;
                }
                // The caller of `order` may never get its answer.
                _ = self.ended() => {}
            }
            Ok::<_, E>(())
        };
        let ended = tokio::time::timeout(limit, ends).await;
        self.power_off_expected
            .store(matches!(ended, Ok(Ok(()))), Ordering::Relaxed);
        let late = || WaitError::deadline("powering off", limit, "the machine is running");
        ended.map_err(|_| MachineError::from(late()))??;
        Ok(self.was_the_guest().await?)
    }

    /// Returns an error if QEMU did not exit because of the guest.
    async fn was_the_guest(&self) -> Result<(), MachineError> {
        match self.current_qmp().last_reported().await.shutdown.as_deref() {
            Some(monitor::GUEST_SHUTDOWN) => Ok(()),
            other => Err(MachineError::Other(format!(
                "QEMU exited, but the guest did not power off: {}",
                other.unwrap_or("no reason was reported")
            ))),
        }
    }

    /// Stops QEMU after the machine has halted by itself.
    pub async fn stop_halted(&self) {
        self.power_off_expected.store(true, Ordering::Relaxed);
        self.stop().await;
        self.ended().await;
    }

    /// Number of resets, by the guest or from outside.
    pub fn resets(&self) -> u64 {
        self.target.resets.load(Ordering::Relaxed)
    }

    /// Waits until the machine has been reset once more than `before`.
    ///
    /// # Errors
    /// The deadline.
    pub async fn wait_reset(&self, before: u64, limit: Duration) -> Result<(), MachineError> {
        let look = async || {
            if self.resets() > before {
                Poll::Ready(())
            } else {
                Poll::NotYet("the machine is running".into())
            }
        };
        Ok(wait_until("the reset of the machine", limit, look).await?)
    }

    /// Whether the machine is off because the guest was asked to power off.
    pub fn was_switched_off(&self) -> bool {
        self.power_off_expected.load(Ordering::Relaxed) && self.has_exited()
    }

    /// Whether the last QEMU has exited.
    pub fn has_exited(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Waits until QEMU has exited by itself.
    pub async fn wait_ended(&self) -> GuestFailure {
        let status = self.ended().await;
        GuestFailure::QemuEnded(status.map_or_else(|| "exited".into(), process::describe))
    }

    /// Waits for the exit of the last QEMU.
    pub(crate) async fn ended(&self) -> Option<ExitStatus> {
        let mut over = self.exit.clone();
        over.wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|over| *over)
    }

    /// Kills QEMU now, and returns when all its output is in the evidence.
    pub async fn stop(&self) {
        self.vm.stop();
        // The serial line closes with QEMU, after its last byte was logged.
        let limit = speed::seconds(1);
        let _ = tokio::time::timeout(limit, self.serial.closed()).await;
    }
}
