//! Makes a checkpoint of a machine.

use std::path::Path;

use serde_json::Value;
use tokio::task::JoinSet;

use super::machine::Machine;
use crate::disk::SavedDrive;
use crate::error::MachineError;
use crate::qemu::launch;
use crate::qemu::migration::{Scope, Transfer};
use crate::qemu::qmp::Qmp;
use crate::snapshot::checkpoint::{ABOUT, About, DEVICES, MEMORY, TRANSFER_SECONDS, write_about};
use base::shell;
use base::wait::{Poll, wait_until};
use host::speed;

impl Machine {
    /// Stops the machine for good and leaves its state in the folder that holds its memory. First waits
    /// until the guest has seen the end of all connections, because no fork has a peer for them.
    ///
    /// # Errors
    /// No login has proven which machine this is; QEMU's error; the folder cannot be written.
    pub async fn save(&self, folder: &Path) -> Result<(), MachineError> {
        Self::save_together(&[(self, folder)]).await
    }

    /// As [`Machine::save`], for machines that are linked: all are stopped at the same moment, each is saved in
    /// its folder.
    ///
    /// # Errors
    /// As for [`Machine::save`].
    pub async fn save_together(machines: &[(&Self, &Path)]) -> Result<(), MachineError> {
        for (machine, _) in machines {
            machine.disconnect().await?;
        }
        let mut halts = JoinSet::new();
        for (machine, _) in machines {
            let qmp = machine.current_qmp();
            halts.spawn(async move { halt(&qmp).await });
        }
        while let Some(halted) = halts.join_next().await {
            halted.map_err(|error| MachineError::Other(error.to_string()))??;
        }
        for (machine, folder) in machines {
            machine.save_halted(folder).await?;
        }
        Ok(())
    }

    /// Waits until no connection leads to the guest.
    async fn disconnect(&self) -> Result<(), MachineError> {
        self.forwards.lock().await.clear();
        disconnected(&self.current_qmp()).await
    }

    async fn save_halted(&self, folder: &Path) -> Result<(), MachineError> {
        let failed = |what: &Path, e: std::io::Error| {
            MachineError::Other(format!("cannot save {}: {e}", what.display()))
        };
        let host_key = self.target.identity.pinned();
        let host_key = host_key.ok_or_else(|| {
            MachineError::Other("cannot make a checkpoint before the first login".into())
        })?;
        let qmp = &self.current_qmp();
        let uri = format!("exec:cat > {}", quote(&folder.join(DEVICES)));
        let transfer = Transfer::write(qmp, Scope::Devices, &uri).await?;
        transfer.end(speed::seconds(TRANSFER_SECONDS)).await?;
        qmp.execute("quit", Value::Null).await?;
        self.ended().await;

        let mut lengths = Vec::new();
        let mut drives = Vec::new();
        for drive in &self.vm.process().plan.drives {
            let name = drive.file.file_name().unwrap_or_default();
            let target = folder.join(name);
            std::fs::rename(&drive.file, &target).map_err(|e| failed(&target, e))?;
            drives.push(SavedDrive {
                id: drive.id.clone(),
                file: name.to_string_lossy().into_owned(),
                format: drive.format,
                bus: drive.bus,
                read_only: drive.read_only,
            });
        }
        let names = drives.iter().map(|drive| drive.file.as_str());
        for name in names.chain([MEMORY, DEVICES]) {
            let file = folder.join(name);
            let found = std::fs::metadata(&file).map_err(|e| failed(&file, e))?;
            lengths.push((name.to_owned(), found.len()));
        }
        let about = About {
            nonces: self.target.identity.nonces(),
            host_key,
            reported_boot: self.reports_boot(),
            drives,
            links: self.vm.resources.spec.links.len(),
            lengths,
        };
        write_about(folder, &about).map_err(|e| failed(&folder.join(ABOUT), e))
    }
}

/// Stops the virtual processors. Also flushes what QEMU caches of the disks.
async fn halt(qmp: &Qmp) -> Result<(), MachineError> {
    qmp.execute("stop", Value::Null).await.map(drop)
}

/// Waits until no connection leads through QEMU to the guest.
async fn disconnected(qmp: &Qmp) -> Result<(), MachineError> {
    let limit = speed::seconds(TRANSFER_SECONDS);
    let look = async || match launch::network_table(qmp).await {
        Err(error) => Poll::Failed(error.to_string()),
        Ok(table) => match connection(&table) {
            Some(row) => Poll::NotYet(row.trim().to_owned()),
            None => Poll::Ready(()),
        },
    };
    Ok(wait_until("the end of all connections", limit, look).await?)
}

/// The first row of an open connection: `  TCP[ESTABLISHED]  17  127.0.0.1 40000 ...`.
fn connection(table: &str) -> Option<&str> {
    let over = ["HOST_FORWARD", "TIME_WAIT", "CLOSED"];
    table.lines().find(|row| {
        let state = row.trim_start().strip_prefix("TCP[");
        state.is_some_and(|state| !over.iter().any(|over| state.starts_with(over)))
    })
}

fn quote(path: &Path) -> String {
    shell::quote(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  TCP[HOST_FORWARD]  18       127.0.0.1 33987       10.0.2.15    22     0     0\r\n  TCP[TIME_WAIT]     19       127.0.0.1 33987       10.0.2.15    22     0     0\r\n";

    #[test]
    fn open_connection_is_found_in_the_table() {
        assert_eq!(connection(TABLE), None);
        let open = TABLE.replace("TIME_WAIT]  ", "ESTABLISHED]");
        assert!(connection(&open).unwrap().contains("ESTABLISHED"));
    }
}
