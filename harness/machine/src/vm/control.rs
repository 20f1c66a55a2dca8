//! What QEMU can do to a machine, as verbs.

use serde_json::Value;

use super::machine::Machine;
use crate::error::MachineError;

impl Machine {
    /// Stops the virtual processors.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn pause(&self) -> Result<(), MachineError> {
        self.verb("stop").await
    }

    /// Lets the virtual processors run again.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn resume(&self) -> Result<(), MachineError> {
        self.verb("cont").await
    }

    /// Sends a non-maskable interrupt to the guest.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn inject_nmi(&self) -> Result<(), MachineError> {
        self.verb("inject-nmi").await
    }

    /// Presses the reset button.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn reset(&self) -> Result<(), MachineError> {
        self.verb("system_reset").await
    }

    /// Presses the power button and returns at once; the guest decides what to do. See
    /// [`Machine::power_off`] for a wait.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn press_power_button(&self) -> Result<(), MachineError> {
        self.verb("system_powerdown").await
    }

    async fn verb(&self, command: &str) -> Result<(), MachineError> {
        self.qmp(command, Value::Null).await.map(drop)
    }
}
