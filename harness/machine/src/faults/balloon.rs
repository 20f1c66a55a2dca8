//! Takes memory from the guest with its balloon (`virtio-balloon`).

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::MachineError;
use crate::vm::Machine;
use base::wait::{Poll, wait_until};

/// Owner of the QMP setting.
const BALLOON: &str = "balloon";

impl Machine {
    /// Limits the guest to `mib` MiB, or gives all its memory back if it has less, and waits until the
    /// guest has followed.
    ///
    /// # Errors
    /// The machine has no balloon; the guest does not follow within `limit`.
    pub async fn set_balloon(&self, mib: u64, limit: Duration) -> Result<(), MachineError> {
        let had = self.qmp("query-memory-size-summary", Value::Null).await?;
        let had = had["base-memory"].as_u64().unwrap_or(u64::MAX);
        let wanted = had.min(mib << 20);
        self.forget(BALLOON);
        let size = json!({ "value": wanted });
        self.set(BALLOON, "balloon", size).await?;
        let what = format!("a guest with {} MiB of memory", wanted >> 20);
        let look = async || match self.qmp("query-balloon", Value::Null).await {
            Err(error) => Poll::Failed(error.to_string()),
            Ok(answer) if answer["actual"] == wanted => Poll::Ready(()),
            Ok(answer) => {
                let actual = answer["actual"].as_u64().unwrap_or_default();
                Poll::NotYet(format!("the guest has {} MiB", actual >> 20))
            }
        };
        Ok(wait_until(&what, limit, look).await?)
    }
}
