//! Checks of the machine: cloud-config, kernel arguments, memory and disks.

use super::super::file::{CloudConfig, DiskFile, MachineFile};
use super::{Lint, seed_data};

pub(super) fn machine(lint: &mut Lint<'_>, machine: &MachineFile) {
    let key =
        (machine.ssh_key && !machine.has_key_placeholder()).then_some("ssh-ed25519 AAAA lint");
    if let Err(error) = CloudConfig::render(machine.cloud_config.as_ref(), key) {
        let hint = "correct it, or write `ssh_key: false` for a machine without the trial's key";
        lint.key("machine.cloud_config", error, hint);
    }
    for (number, argument) in machine.kernel_arguments.iter().enumerate() {
        if !is_kernel_argument(argument) {
            let path = format!("machine.kernel_arguments[{number}]");
            lint.value(
                &path,
                "not one kernel argument",
                "write one argument per entry; put spaces between double quotes: `a.b=\"c d\"`",
            );
        }
    }
    for (number, disk) in machine.disks.iter().enumerate() {
        self::disk(lint, disk, &format!("machine.disks[{number}]"));
    }
    seed_data::check(lint, machine);
    if machine.memory == Some(0) {
        lint.value("machine.memory", "0 MiB of memory", "`memory` is in MiB");
    }
}

/// Whether the kernel parses a text as one argument (next_arg, lib/cmdline.c).
fn is_kernel_argument(text: &str) -> bool {
    let mut quoted = false;
    let one = text.chars().all(|letter| {
        quoted ^= letter == '"';
        !letter.is_control() && (quoted || !letter.is_whitespace())
    });
    one && !quoted && !text.is_empty()
}

/// The longest label of an ext4 file system, in bytes (EXT4_LABEL_MAX).
const LONGEST_EXT4_LABEL: usize = 16;
/// The largest disk in MiB; the limit for disks of a profile is the same.
const LARGEST_DISK: u64 = 1 << 20;

/// The longest name of a GPT partition, in UTF-16 code units (UEFI specification, 5.3.3).
const LONGEST_PARTITION: usize = 36;

pub(super) fn disk(lint: &mut Lint<'_>, disk: &DiskFile, path: &str) {
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

pub(super) fn absolute(lint: &mut Lint<'_>, file: &str, path: &str) {
    if !file.starts_with('/') {
        let hint = format!("write `/{file}`");
        lint.value(path, "not an absolute path", hint);
    }
}
