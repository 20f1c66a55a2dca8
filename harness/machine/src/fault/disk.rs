//! Disks that fail or are slow: nodes of QEMU's block layer, put between a disk's device and what
//! was below it while the machine runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ssh::random_word;
use crate::{Machine, MachineError};

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskFaults {
    /// Reads end with an error.
    pub read: bool,
    /// Writes end with an error, and so do flushes.
    pub write: bool,
    /// Requests come one each so long.
    pub slow: Option<Duration>,
}

/// A disk with something wrong, which [`Machine::mend_disk`] mends.
#[derive(Debug)]
pub struct BrokenDisk {
    device: String,
    /// The node that was the device's before.
    sound: String,
    /// Those above it, the lowest first.
    nodes: Vec<String>,
    group: Option<String>,
    /// By which the machine remembers it.
    word: String,
}

impl Machine {
    /// Has a disk (by its serial number: `disk0`, ...) do something wrong from now on.
    ///
    /// # Errors
    /// There is no such disk; QEMU's error.
    pub async fn break_disk(
        &self,
        serial: &str,
        faults: DiskFaults,
    ) -> Result<BrokenDisk, MachineError> {
        let (device, sound) = self.find_disk(serial).await?;
        let mut broken = BrokenDisk {
            device,
            sound,
            nodes: Vec::new(),
            group: None,
            word: random_word(),
        };
        match self.put_above(serial, faults, &mut broken).await {
            Ok(()) => Ok(broken),
            Err(error) => {
                let _ = self.mend_disk(&broken).await;
                Err(error)
            }
        }
    }

    async fn put_above(
        &self,
        serial: &str,
        faults: DiskFaults,
        broken: &mut BrokenDisk,
    ) -> Result<(), MachineError> {
        if faults.read || faults.write {
            let node = format!("{serial}-errors");
            let options = errors(&node, &broken.sound, faults);
            self.set(&broken.word, "blockdev-add", options).await?;
            broken.nodes.push(node);
        }
        if let Some(interval) = faults.slow {
            let (node, group) = (format!("{serial}-slow"), format!("{serial}-pace"));
            let limits = json!({ "iops-total": requests_a_second(interval) });
            let pace = json!({ "qom-type": "throttle-group", "id": group, "limits": limits });
            self.set(&broken.word, "object-add", pace).await?;
            let below = broken.nodes.last().unwrap_or(&broken.sound).clone();
            broken.group = Some(group.clone());
            let options = json!({
                "driver": "throttle", "node-name": node, "throttle-group": group, "file": below,
            });
            self.set(&broken.word, "blockdev-add", options).await?;
            broken.nodes.push(node);
        }
        match broken.nodes.last() {
            Some(top) => {
                let change = attachment(&broken.device, top);
                self.set(&broken.word, "qom-set", change).await
            }
            None => Ok(()),
        }
    }

    /// Has a disk do its work again.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn mend_disk(&self, broken: &BrokenDisk) -> Result<(), MachineError> {
        self.chassis.forget(&broken.word);
        // QEMU 7.2 does not survive that a device is given the node that it has.
        if self.attached(&broken.device).await?.as_ref() != Some(&broken.sound) {
            let change = attachment(&broken.device, &broken.sound);
            self.qmp("qom-set", change).await?;
        }
        for node in broken.nodes.iter().rev() {
            self.qmp("blockdev-del", json!({ "node-name": node }))
                .await?;
        }
        match &broken.group {
            Some(group) => self
                .qmp("object-del", json!({ "id": group }))
                .await
                .map(drop),
            None => Ok(()),
        }
    }

    /// The device of a disk, and the node that it is attached to.
    async fn find_disk(&self, serial: &str) -> Result<(String, String), MachineError> {
        for (device, node) in self.disks().await? {
            let asked = json!({ "path": device, "property": "serial" });
            // A drive of the firmware has none.
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

    /// Each device with a medium, and the node that it is attached to.
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
    /// `EIO`, as errno(3) has it.
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

/// At least one: QEMU counts in whole numbers.
fn requests_a_second(interval: Duration) -> u64 {
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    1000_u64.checked_div(millis).unwrap_or(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_only_reads_badly_takes_writes() {
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
    fn a_pace_is_whole_requests_a_second() {
        for (millis, requests) in [(1, 1000), (200, 5), (300, 3), (1000, 1)] {
            assert_eq!(requests_a_second(Duration::from_millis(millis)), requests);
        }
    }
}
