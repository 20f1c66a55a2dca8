//! A state disk that is larger than what is on it: the partition and the file system grow, as nobody may
//! be there to be asked. Nothing but free space behind them is taken.

use std::time::Duration;

use super::Boot;
use crate::sys::{Outcome, Patience, Result, Sys};

const RESIZE: &str = "/usr/sbin/resize2fs";

/// Where the kernel tells of disks and partitions; sizes there are sectors of 512 bytes, whatever the
/// disk has (`Documentation/ABI/stable/sysfs-block`).
const BLOCK: &str = "/sys/class/block";
const SECTOR: u64 = 512;

/// Less than this many bytes is not worth writing a partition table: partitioning tools leave a MiB free
/// at the end, and GPT has 33 sectors of its own there.
const LEAST: u64 = 16 << 20;

/// Writing a partition table is a few sectors.
const TABLE_LIMIT: Duration = Duration::from_secs(30);

/// Growing writes the tables of each new group of blocks, unless they are left to the kernel.
const GROWING: Patience = Patience {
    limit: Duration::from_secs(10 * 60),
    tell: Duration::from_secs(30),
};

/// A partition of a disk, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Partition {
    disk: String,
    number: String,
    /// How much is free behind it.
    free: u64,
}

/// Lets a partition take what is free behind it. To be called before it is in use.
pub fn partition(boot: &mut Boot<'_>, device: &str) -> Result<()> {
    let found = look(boot.sys, device);
    let Some(found) = found.filter(|found| found.free >= LEAST) else {
        return Ok(());
    };
    let (disk, number) = (&found.disk, &found.number);
    let command = format!("echo ', +' | sfdisk --quiet -N {number} /dev/{disk}");
    let arguments = ["-c", command.as_str()];
    let ended = boot.sys.ask_within("/bin/sh", &arguments, TABLE_LIMIT)?;
    ended.well("sfdisk", &["-N", number, disk])?;
    let more = found.free >> 20;
    boot.report
        .say(&format!("rancher: partition {device} grew by {more} MiB"));
    Ok(())
}

/// Lets a mounted ext4 file system of `has` bytes take all of its device.
pub fn file_system(boot: &mut Boot<'_>, device: &str, has: u64) -> Result<()> {
    let Some(name) = name(device) else {
        return Ok(());
    };
    let Some(sectors) = number(boot.sys, &format!("{BLOCK}/{name}/size")) else {
        return Ok(());
    };
    if sectors.saturating_mul(SECTOR).saturating_sub(has) < LEAST {
        return Ok(());
    }
    let report = &mut *boot.report;
    let mut tell = |passed: Duration| {
        let seconds = passed.as_secs();
        report.say(&format!(
            "rancher: {device} has been growing for {seconds} s"
        ));
    };
    match boot
        .sys
        .ask_patiently(RESIZE, &[device], GROWING, &mut tell)?
    {
        Outcome::Ended(ended) => ended.well(RESIZE, &[device])?,
        Outcome::Killed | Outcome::Hangs => {
            return Err(format!("{RESIZE} {device} did not end in time"));
        }
    };
    let all = (sectors * SECTOR) >> 20;
    boot.report.say(&format!(
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

/// A partition that is the last of its disk.
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
    fn disks_are_named_by_their_partitions() {
        assert_eq!(disk_of("vda1", "1"), Some("vda"));
        assert_eq!(disk_of("sdp12", "12"), Some("sdp"));
        assert_eq!(disk_of("nvme0n1p2", "2"), Some("nvme0n1"));
        assert_eq!(disk_of("mmcblk0p1", "1"), Some("mmcblk0"));
    }
}
