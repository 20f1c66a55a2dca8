//! QEMU migration: writes or reads the state of a stopped machine.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::MachineError;
use crate::qemu::qmp::Qmp;
use base::wait::{self, WaitError};

/// Name of the wait, for its error.
const WAIT: &str = "the transfer of the machine's state";

/// The scope of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Memory and devices.
    All,
    /// Everything except memory in a shared file.
    Devices,
}

/// A running transfer.
pub(crate) struct Transfer<'a> {
    qmp: &'a Qmp,
    /// Number of transfers that this QEMU had completed before.
    before: usize,
}

impl<'a> Transfer<'a> {
    /// Writes the state to `uri` (QEMU's `migrate`).
    pub(crate) async fn write(qmp: &'a Qmp, scope: Scope, uri: &str) -> Result<Self, MachineError> {
        Self::begin(qmp, scope, "migrate", uri).await
    }

    /// Reads the state from `uri` (`migrate-incoming`).
    pub(crate) async fn read(qmp: &'a Qmp, scope: Scope, uri: &str) -> Result<Self, MachineError> {
        Self::begin(qmp, scope, "migrate-incoming", uri).await
    }

    async fn begin(
        qmp: &'a Qmp,
        scope: Scope,
        command: &str,
        uri: &str,
    ) -> Result<Self, MachineError> {
        let capability = |name: &str, state: bool| json!({ "capability": name, "state": state });
        let capabilities = [
            capability("x-ignore-shared", scope == Scope::Devices),
            // QEMU reports the end by an event.
            capability("events", true),
        ];
        let capabilities = json!({ "capabilities": capabilities });
        qmp.execute("migrate-set-capabilities", capabilities)
            .await?;
        let before = qmp.reported().transfers.len();
        qmp.execute(command, json!({ "uri": uri })).await?;
        Ok(Self { qmp, before })
    }

    /// Waits for the end of the transfer.
    ///
    /// # Errors
    /// The deadline; QEMU could not transfer the state, or has exited.
    pub(crate) async fn end(self, limit: Duration) -> Result<(), MachineError> {
        let mut reported = self.qmp.watch();
        wait::tell(WAIT, "in progress");
        let end = reported.wait_for(|reported| reported.transfers.len() > self.before);
        let completed = match tokio::time::timeout(limit, end).await {
            Ok(Ok(reported)) => reported.transfers[self.before],
            // QEMU has exited; the query below reports that.
            Ok(Err(_)) => false,
            Err(_) => {
                let seen = self.seen().await?.to_string();
                return Err(WaitError::deadline(WAIT, limit, seen).into());
            }
        };
        if completed {
            return Ok(());
        }
        Err(WaitError::failed(WAIT, self.seen().await?.to_string()).into())
    }

    async fn seen(&self) -> Result<Value, MachineError> {
        self.qmp.execute("query-migrate", Value::Null).await
    }
}
