//! Growing the partition and the file system of the state disk when the disk has become larger, without
//! asking. They grow only into free space behind them.

use std::time::Duration;

use sys::{Outcome, Progress, Result, Sys};

use crate::boot::Boot;

const RESIZE: &str = "/usr/sbin/resize2fs";

/// The kernel's folder of disks and partitions. Sizes there are in sectors of 512 bytes, whichever sector
/// size the disk has (`Documentation/ABI/stable/sysfs-block`).
const BLOCK: &str = "/sys/class/block";
const SECTOR: u64 = 512;

/// The minimum number of free bytes for growing: partitioning tools leave a MiB free at the end, and GPT
/// uses 33 sectors there.
const MIN_FREE: u64 = 16 << 20;

/// The timeout for writing a partition table, which is a few sectors.
const TABLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The timeout for growing a file system, which writes the tables of each new block group unless the
/// kernel initializes them.
const GROWING: Progress = Progress {
    timeout: Duration::from_secs(10 * 60),
    interval: Duration::from_secs(30),
};

/// A partition of a disk, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Partition {
    disk: String,
    number: String,
    /// The free space behind it.
    free: u64,
}

/// Grows a partition into the free space behind it. It must not be mounted.
pub(super) fn partition(boot: &mut Boot<'_>, device: &str) -> Result<()> {
    let found = look(boot.sys, device);
    let Some(found) = found.filter(|found| found.free >= MIN_FREE) else {
        return Ok(());
    };
    let (disk, number) = (&found.disk, &found.number);
    let command = format!("echo ', +' | sfdisk --quiet -N {number} /dev/{disk}");
    let arguments = ["-c", command.as_str()];
    let output = boot
        .sys
        .run_with_timeout("/bin/sh", &arguments, TABLE_TIMEOUT)?;
    output.success("sfdisk", &["-N", number, disk])?;
    let more = found.free >> 20;
    boot.report
        .print(&format!("rancher: partition {device} grew by {more} MiB"));
    Ok(())
}

/// Grows a mounted ext4 file system to the size of its device; `size` is its current size in bytes.
pub(super) fn file_system(boot: &mut Boot<'_>, device: &str, size: u64) -> Result<()> {
    let Some(name) = name(device) else {
        return Ok(());
    };
    let Some(sectors) = number(boot.sys, &format!("{BLOCK}/{name}/size")) else {
        return Ok(());
    };
    if sectors.saturating_mul(SECTOR).saturating_sub(size) < MIN_FREE {
        return Ok(());
    }
    let report = &mut *boot.report;
    let mut on_progress = |passed: Duration| {
        let seconds = passed.as_secs();
        report.print(&format!(
            "rancher: growing {device} has taken {seconds} s so far"
        ));
    };
    match boot
        .sys
        .run_with_progress(RESIZE, &[device], GROWING, &mut on_progress)?
    {
        Outcome::Exited(output) => output.success(RESIZE, &[device])?,
        Outcome::Killed | Outcome::Stuck => {
            return Err(format!("{RESIZE} {device} timed out"));
        }
    };
    let all = (sectors * SECTOR) >> 20;
    boot.report.print(&format!(
        "rancher: the file system on {device} grew to {all} MiB"
    ));
    Ok(())
}

fn name(device: &str) -> Option<&str> {
    device
        .strip_prefix("/dev/")
        .filter(|name| !name.contains('/'))
}

fn number(sys: &mut dyn Sys, file: &str) -> Option<u64> {
    sys.read(file).ok()?.trim().parse().ok()
}

/// The partition, if it is the last one of its disk.
fn look(sys: &mut dyn Sys, device: &str) -> Option<Partition> {
    let name = name(device)?;
    let mut of = |name: &str, what: &str| number(sys, &format!("{BLOCK}/{name}/{what}"));
    let number = of(name, "partition")?.to_string();
    let disk = disk_of(name, &number)?;
    let (start, size, all) = (of(name, "start")?, of(name, "size")?, of(disk, "size")?);
    let siblings = sys.list(BLOCK).ok()?;
    let siblings = siblings.iter().filter(|other| other.starts_with(disk));
    for other in siblings {
        let begins = |sys: &mut dyn Sys| self::number(sys, &format!("{BLOCK}/{other}/start"));
        if begins(sys).is_some_and(|other| other > start) {
            return None;
        }
    }
    Some(Partition {
        disk: disk.to_owned(),
        number,
        free: all.saturating_sub(start + size) * SECTOR,
    })
}

/// The disk of a partition: `vda` of `vda1`, `nvme0n1` of `nvme0n1p1` (`disk_name` in the kernel's
/// `block/partitions/core.c`: a `p` stands between two digits).
fn disk_of<'n>(name: &'n str, number: &str) -> Option<&'n str> {
    let disk = name.strip_suffix(number)?;
    match disk.strip_suffix('p') {
        Some(before) if before.ends_with(|last: char| last.is_ascii_digit()) => Some(before),
        _ => Some(disk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_of_removes_the_partition_number() {
        assert_eq!(disk_of("vda1", "1"), Some("vda"));
        assert_eq!(disk_of("sdp12", "12"), Some("sdp"));
        assert_eq!(disk_of("nvme0n1p2", "2"), Some("nvme0n1"));
        assert_eq!(disk_of("mmcblk0p1", "1"), Some("mmcblk0"));
    }
}
