//! One of the machines of the owner.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use host::speed;
use machine::{Machine, MachineError};

/// The timeout of a boot, on the reference host.
const BOOT_SECONDS: u64 = 180;

/// A started machine.
pub(super) struct Member {
    /// Its name, if it is one of several.
    pub(super) name: Option<String>,
    /// Its address on the network of the cluster.
    pub(super) address: Option<Ipv4Addr>,
    pub(super) machine: Arc<Machine>,
    /// How to log in, for the user.
    pub(super) login: String,
}

impl Member {
    /// Waits until it is ready. A guest failure or the exit of QEMU fails the wait.
    pub(super) async fn ready(&self) -> Result<(), MachineError> {
        let limit = speed::seconds(BOOT_SECONDS);
        self.machine.fail_fast(self.machine.wait_ready(limit)).await
    }

    /// Asks the guest to power off, and cuts the power if it does not.
    pub(super) async fn power_off(&self, limit: Duration) {
        if self.machine.power_off(limit).await.is_err() {
            let seconds = limit.as_secs();
            let guest = self.say("the guest did not power off within");
            eprintln!("{guest} {seconds} s; cutting the power");
        }
        self.machine.stop().await;
    }

    /// Waits for its end, and says how it ended: an error if the guest did not power off.
    pub(super) async fn ended(&self) -> Result<String, MachineError> {
        let failure = self.machine.wait_ended().await;
        if self.machine.shutdown_reason().as_deref() == Some("guest-shutdown") {
            return Ok(self.say("powered off"));
        }
        Err(MachineError::Other(self.say(&failure.to_string())))
    }

    /// A message about it.
    pub(super) fn say(&self, text: &str) -> String {
        let name = self.name.as_ref().map(|name| format!("{name}: "));
        format!("{}{text}", name.unwrap_or_default())
    }
}
