//! QEMU's migration: the state of a machine that stands still is written, or read.

use std::time::Duration;

use serde_json::{Value, json};

use super::MachineError;
use super::qmp::Qmp;
use base::wait::{self, WaitError};

const WHAT: &str = "the transfer of the machine's state";

/// What is transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Everything.
    All,
    /// All but memory that is a shared file.
    Devices,
}

/// A transfer on its way.
pub(super) struct Transfer<'a> {
    qmp: &'a Qmp,
    /// How many this QEMU had ended before.
    before: usize,
}

impl<'a> Transfer<'a> {
    /// Writes the state to `uri` (QEMU's `migrate`).
    pub(super) async fn write(qmp: &'a Qmp, what: What, uri: &str) -> Result<Self, MachineError> {
        Self::begin(qmp, what, "migrate", uri).await
    }

    /// Reads the state from `uri` (`migrate-incoming`).
    pub(super) async fn read(qmp: &'a Qmp, what: What, uri: &str) -> Result<Self, MachineError> {
        Self::begin(qmp, what, "migrate-incoming", uri).await
    }

    async fn begin(
        qmp: &'a Qmp,
        what: What,
        command: &str,
        uri: &str,
    ) -> Result<Self, MachineError> {
        let capability = |name: &str, state: bool| json!({ "capability": name, "state": state });
        let capabilities = [
            capability("x-ignore-shared", what == What::Devices),
            // It tells of the end by itself.
            capability("events", true),
        ];
        let capabilities = json!({ "capabilities": capabilities });
        qmp.execute("migrate-set-capabilities", capabilities)
            .await?;
        let before = qmp.told().transfers.len();
        qmp.execute(command, json!({ "uri": uri })).await?;
        Ok(Self { qmp, before })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The deadline; QEMU could not do it, or is gone.
    pub(super) async fn end(self, limit: Duration) -> Result<(), MachineError> {
        let mut told = self.qmp.watch();
        wait::tell(WHAT, "it is on its way");
        let end = told.wait_for(|told| told.transfers.len() > self.before);
        let completed = match tokio::time::timeout(limit, end).await {
            Ok(Ok(told)) => told.transfers[self.before],
            // QEMU is gone, which is what it is asked for next.
            Ok(Err(_)) => false,
            Err(_) => {
                let seen = self.seen().await?.to_string();
                return Err(WaitError::deadline(WHAT, limit, seen).into());
            }
        };
        match completed {
            true => Ok(()),
            false => Err(WaitError::failed(WHAT, self.seen().await?.to_string()).into()),
        }
    }

    async fn seen(&self) -> Result<Value, MachineError> {
        self.qmp.execute("query-migrate", Value::Null).await
    }
}
