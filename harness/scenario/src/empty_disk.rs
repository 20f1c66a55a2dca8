//! Empty disks: of the machine, and hot-plugged ones.

use schemars::JsonSchema;
use serde::Deserialize;

use super::collector::Lint;

/// An empty disk, deleted with the machine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Disk")]
pub struct DiskFile {
    /// Size in MiB.
    pub size: u64,
    /// Formats the disk as ext4 with this label.
    pub label: Option<String>,
    /// Creates a GPT partition with this name, which contains the file system.
    pub partition: Option<String>,
}

/// The longest label of an ext4 file system, in bytes (EXT4_LABEL_MAX).
const LONGEST_EXT4_LABEL: usize = 16;
/// The largest disk in MiB; the limit for disks of a profile is the same.
const LARGEST_DISK: u64 = 1 << 20;

/// The longest name of a GPT partition, in UTF-16 code units (UEFI specification, 5.3.3).
const LONGEST_PARTITION: usize = 36;

pub(crate) fn check(lint: &mut Lint<'_>, disk: &DiskFile, path: &str) {
    if disk.size == 0 {
        let path = format!("{path}.size");
        lint.value(&path, "a disk of 0 MiB", "`size` is in MiB");
    }
    if disk.size > LARGEST_DISK {
        let hint = format!("`size` is in MiB, at most {LARGEST_DISK}");
        lint.value(&format!("{path}.size"), "the disk is too large", hint);
    }
    if let Some(label) = &disk.label {
        let length = (1..=LONGEST_EXT4_LABEL).contains(&label.len());
        if !length || label.chars().any(char::is_control) {
            let message = "not a label of an ext4 file system";
            let hint = format!("write 1 to {LONGEST_EXT4_LABEL} bytes without control characters");
            lint.value(&format!("{path}.label"), message, hint);
        }
    }
    if let Some(name) = &disk.partition {
        let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        if name.is_empty() || name.len() > LONGEST_PARTITION || !name.chars().all(plain) {
            let message = "not a partition name";
            let hint = format!(
                "write up to {LONGEST_PARTITION} printable ASCII characters without `\"` and `\\`"
            );
            lint.value(&format!("{path}.partition"), message, hint);
        }
        if (1..=2).contains(&disk.size) {
            let message = "the disk is too small for a partition";
            lint.value(
                &format!("{path}.size"),
                message,
                "add at least 1 MiB; the partition tables take 2 MiB",
            );
        }
    }
}
