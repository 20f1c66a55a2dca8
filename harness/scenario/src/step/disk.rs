//! Faults of a disk.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::collector::Lint;
use super::super::value::Span;
use super::text::time;
use super::{Effect, MachineState, StepKind, Undone};

/// Sets the faults of one disk; replaces its earlier ones.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiskStep {
    /// The index in `machine.disks`, from 0; disks from `hotplug` steps follow.
    pub disk: usize,
    /// The result of every read.
    pub read: Option<DiskError>,
    /// The result of every write and flush.
    pub write: Option<DiskError>,
    /// Limits the disk to one request per this time, from 1ms to 1s.
    pub slow: Option<Span>,
    /// Fills its mounted file system, including the space reserved for root.
    pub full: bool,
}

impl DiskStep {
    /// Whether the step makes the device itself fail or slow.
    pub fn affects_device(&self) -> bool {
        self.read.is_some() || self.write.is_some() || self.slow.is_some()
    }
}

/// The result of a disk request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskError {
    /// An I/O error.
    Error,
}

impl StepKind for DiskStep {
    fn title(&self) -> String {
        let parts = [
            self.read.map(|_| "reads fail".to_owned()),
            self.write.map(|_| "writes fail".to_owned()),
            self.slow
                .map(|span| format!("a request each {}", time(span.0))),
            self.full.then(|| "full".to_owned()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        format!("disk {}: {}", self.disk, parts.join(", "))
    }

    fn default_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn needs_login(&self) -> bool {
        self.full
    }

    fn lint(&self, lint: &mut Lint<'_>, path: &str) {
        if !self.affects_device() && !self.full {
            let hint = "write `read: error`, `write: error`, `slow` or `full: true`; `undo: disk` reverts them";
            lint.key(path, "this step injects no fault", hint);
        }
        let message = "`full` writes to the disk, which fails or is slow because of the other keys";
        let invalid = self.full && self.affects_device();
        lint.refuse(
            invalid,
            &format!("{path}.full"),
            message,
            "split it into two steps, `full` first",
        );
        let bounds = Duration::from_millis(1)..=Duration::from_secs(1);
        if self.slow.is_some_and(|span| !bounds.contains(&span.0)) {
            let hint = "write `1ms` to `1s`";
            lint.value(&format!("{path}.slow"), "not a valid delay of a disk", hint);
        }
    }

    fn needs_guest(&self) -> bool {
        self.full
    }

    fn can_fail(&self) -> bool {
        false
    }

    fn effect(&self) -> Effect {
        Effect::Fault
    }

    fn follow(&self, state: &mut MachineState, lint: &mut Lint<'_>, path: &str) {
        let disks = state.disks;
        if self.disk >= disks {
            let message = format!("the scenario gives the machine {disks} disks, counted from 0");
            let hint = "add it to `machine.disks`, or `hotplug` it in an earlier step";
            lint.key(&format!("{path}.disk"), message, hint);
        }
        state.faults.push(Undone::Disk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_lists_all_faults() {
        let step: DiskStep = serde_yaml::from_str("{ read: error, slow: 20ms }").unwrap();
        assert_eq!(step.title(), "disk 0: reads fail, a request each 20ms");
    }
}
