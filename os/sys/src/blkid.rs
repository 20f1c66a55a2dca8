//! What blkid(8) reports about disks.

use std::time::Duration;

use crate::{Extent, Result, Sys};

const BLKID: &str = "/usr/sbin/blkid";

/// The timeout of one run: blkid reads a few blocks of each disk, and a disk may not answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The exit status when there is no such disk, or blkid recognizes nothing on it.
const NOTHING_FOUND: i32 = 2;

/// A file system, as blkid reports it.
#[derive(Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its type; empty if blkid recognizes none.
    pub kind: String,
    /// Its size in bytes, if blkid reports it.
    pub size: Option<u64>,
}

/// The device that a path or a property (`LABEL=…`, `UUID=…`) names; `None` if there is none.
///
/// # Errors
/// blkid cannot be run, or does not exit in time.
pub fn device(sys: &mut dyn Sys, name: &str) -> Result<Option<String>> {
    if name.contains('=') {
        // Without its cache file, which would name devices that are gone.
        let arguments = ["-c", "/dev/null", "-l", "-o", "device", "-t", name];
        let found = sys.run_with_timeout(BLKID, &arguments, TIMEOUT)?;
        let found = found.stdout.trim().to_owned();
        return Ok(Some(found).filter(|device| !device.is_empty()));
    }
    let exists = sys.content(name, Extent::Beginning).is_ok();
    Ok(exists.then(|| name.to_owned()))
}

/// The file system on a disk.
///
/// # Errors
/// blkid cannot be run, or does not exit in time.
pub fn file_system(sys: &mut dyn Sys, device: &str) -> Result<FileSystem> {
    let names = ["-s", "TYPE", "-s", "FSLASTBLOCK", "-s", "FSBLOCKSIZE"];
    let arguments = [&["-p", "-o", "export"], &names[..], &[device]].concat();
    let found = sys.run_with_timeout(BLKID, &arguments, TIMEOUT)?;
    Ok(parse(&found.stdout))
}

/// Whether blkid recognizes nothing on a disk: no file system, no partition table, no member of a RAID
/// or LVM.
///
/// # Errors
/// blkid cannot be run, or does not exit in time.
pub fn is_unrecognized(sys: &mut dyn Sys, device: &str) -> Result<bool> {
    let probed = sys.run_with_timeout(BLKID, &["-p", device], TIMEOUT)?;
    Ok(probed.status == NOTHING_FOUND)
}

/// Reads blkid's `export` output; FSLASTBLOCK is the number of blocks.
fn parse(output: &str) -> FileSystem {
    let value = |name: &str| {
        let mut values = output.lines().filter_map(|line| line.strip_prefix(name));
        values.find_map(|rest| rest.strip_prefix('='))
    };
    let number = |name: &str| value(name)?.parse::<u64>().ok();
    let size = number("FSLASTBLOCK").zip(number("FSBLOCKSIZE"));
    FileSystem {
        kind: value("TYPE").unwrap_or_default().to_owned(),
        size: size.and_then(|(blocks, bytes)| blocks.checked_mul(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_returns_type_and_size_when_blkid_reports_them() {
        let output = "DEVNAME=/dev/vda\nTYPE=ext4\nFSLASTBLOCK=65536\nFSBLOCKSIZE=1024\n";
        let (kind, size) = ("ext4".to_owned(), Some(64 << 20));
        assert_eq!(parse(output), FileSystem { kind, size });
        let (kind, size) = (String::new(), None);
        assert_eq!(parse("DEVNAME=/dev/vda\n"), FileSystem { kind, size });
    }
}
