//! Disks that fail or are slow: nodes of QEMU's block layer, inserted between a disk's device and its
//! node while the machine runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::MachineError;
use crate::qemu::nonce::random_nonce;
use crate::vm::Machine;

/// The faults of a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskFaults {
    /// Reads fail.
    pub read: bool,
    /// Writes and flushes fail.
    pub write: bool,
    /// Minimum interval between requests.
    pub slow: Option<Duration>,
}

/// A disk with active faults; [`Machine::repair_disk`] reverts them.
#[derive(Debug)]
pub struct FaultyDisk {
    device: String,
    /// The node that the device had before.
    original: String,
    /// The inserted nodes, the lowest first.
    nodes: Vec<String>,
    group: Option<String>,
    /// Owner of the QMP settings.
    owner: String,
}

impl Machine {
    /// Injects faults into a disk, which is named by its serial number (`disk0`, ...).
    ///
    /// # Errors
    /// The disk does not exist; QEMU's error.
    pub async fn break_disk(
        &self,
        serial: &str,
        faults: DiskFaults,
    ) -> Result<FaultyDisk, MachineError> {
        let (device, original) = self.find_disk(serial).await?;
        let mut faulty = FaultyDisk {
            device,
            original,
            nodes: Vec::new(),
            group: None,
            owner: random_nonce(),
        };
        match self.insert_nodes(serial, faults, &mut faulty).await {
            Ok(()) => Ok(faulty),
            Err(error) => {
                let _ = self.repair_disk(&faulty).await;
                Err(error)
            }
        }
    }

    async fn insert_nodes(
        &self,
        serial: &str,
        faults: DiskFaults,
        faulty: &mut FaultyDisk,
    ) -> Result<(), MachineError> {
        if faults.read || faults.write {
            let node = format!("{serial}-errors");
            let options = errors(&node, &faulty.original, faults);
            self.set(&faulty.owner, "blockdev-add", options).await?;
            faulty.nodes.push(node);
        }
        if let Some(interval) = faults.slow {
            let (node, group) = (format!("{serial}-slow"), format!("{serial}-pace"));
            let limits = json!({ "iops-total": requests_a_second(interval) });
            let pace = json!({ "qom-type": "throttle-group", "id": group, "limits": limits });
            self.set(&faulty.owner, "object-add", pace).await?;
            let below = faulty.nodes.last().unwrap_or(&faulty.original).clone();
            faulty.group = Some(group.clone());
            let options = json!({
                "driver": "throttle", "node-name": node, "throttle-group": group, "file": below,
            });
            self.set(&faulty.owner, "blockdev-add", options).await?;
            faulty.nodes.push(node);
        }
        match faulty.nodes.last() {
            Some(top) => {
                let change = attachment(&faulty.device, top);
                self.set(&faulty.owner, "qom-set", change).await
            }
            None => Ok(()),
        }
    }

    /// Reverts the faults of a disk.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn repair_disk(&self, faulty: &FaultyDisk) -> Result<(), MachineError> {
        self.forget(&faulty.owner);
        // QEMU 7.2 crashes if a device is given the node that it already has.
        if self.attached(&faulty.device).await?.as_ref() != Some(&faulty.original) {
            let change = attachment(&faulty.device, &faulty.original);
            self.qmp("qom-set", change).await?;
        }
        for node in faulty.nodes.iter().rev() {
            self.qmp("blockdev-del", json!({ "node-name": node }))
                .await?;
        }
        match &faulty.group {
            Some(group) => self
                .qmp("object-del", json!({ "id": group }))
                .await
                .map(drop),
            None => Ok(()),
        }
    }

    /// The device of a disk, and its current node.
    async fn find_disk(&self, serial: &str) -> Result<(String, String), MachineError> {
        for (device, node) in self.disks().await? {
            let asked = json!({ "path": device, "property": "serial" });
            // A flash drive of the firmware has no serial number.
            let found = self.qmp("qom-get", asked).await.unwrap_or_default();
            if found.as_str() == Some(serial) {
                return Ok((device, node));
            }
        }
        let text = format!("the machine has no disk `{serial}`");
        Err(MachineError::Other(text))
    }

    async fn attached(&self, device: &str) -> Result<Option<String>, MachineError> {
        let mut disks = self.disks().await?.into_iter();
        Ok(disks.find_map(|(found, node)| (found == device).then_some(node)))
    }

    /// Each device with a medium, and its current node.
    async fn disks(&self) -> Result<Vec<(String, String)>, MachineError> {
        let blocks = self.qmp("query-block", Value::Null).await?;
        let disk = |block: &Value| {
            let node = block["inserted"]["node-name"].as_str()?;
            Some((block["qdev"].as_str()?.to_owned(), node.to_owned()))
        };
        let blocks = blocks.as_array();
        Ok(blocks.into_iter().flatten().filter_map(disk).collect())
    }
}

fn attachment(device: &str, node: &str) -> Value {
    json!({ "path": device, "property": "drive", "value": node })
}

fn errors(node: &str, below: &str, faults: DiskFaults) -> Value {
    /// `EIO` of errno(3).
    const IO_ERROR: i32 = 5;
    let wrong = [
        ("read", faults.read),
        ("write", faults.write),
        ("write-zeroes", faults.write),
        ("discard", faults.write),
        ("flush", faults.write),
    ];
    let rule = |kind: &str| json!({ "event": "none", "iotype": kind, "errno": IO_ERROR });
    let rules = wrong.iter().filter(|(_, wrong)| *wrong);
    let rules: Vec<Value> = rules.map(|(kind, _)| rule(kind)).collect();
    json!({ "driver": "blkdebug", "node-name": node, "image": below, "inject-error": rules })
}

/// Requests per second, at least one: QEMU accepts whole numbers.
fn requests_a_second(interval: Duration) -> u64 {
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    1000_u64.checked_div(millis).unwrap_or(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_fault_does_not_affect_writes() {
        let faults = DiskFaults {
            read: true,
            ..DiskFaults::default()
        };
        let options = errors("top", "disk0", faults);
        let rules = options["inject-error"].as_array().unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0]["iotype"], "read");
    }

    #[test]
    fn interval_becomes_whole_requests_per_second() {
        for (millis, requests) in [(1, 1000), (200, 5), (300, 3), (1000, 1)] {
            assert_eq!(requests_a_second(Duration::from_millis(millis)), requests);
        }
    }
}
