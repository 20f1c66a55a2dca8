//! Checks of the kernel and the initrd before a boot. A truncated or oversized file is reported at
//! once; without the check the machine would print nothing until a timeout.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Memory that a kernel needs in addition to its initrd, in MiB (approximate).
const KERNEL_MIB: u64 = 64;

/// Compares the length of a kernel with the length that its x86 boot header declares.
///
/// # Errors
/// The file is missing or shorter than declared.
pub(crate) fn check_kernel(file: &Path) -> Result<(), String> {
    let opened = open("kernel", file)?;
    let length = length(&opened, file)?;
    let mut header = [0; 0x206];
    let whole_header = opened.read_exact_at(&mut header, 0).is_ok();
    if !whole_header || &header[0x202..] != b"HdrS" {
        return Err(format!("{} is not an x86 Linux kernel", file.display()));
    }
    let paragraphs =
        u32::from_le_bytes([header[0x1f4], header[0x1f5], header[0x1f6], header[0x1f7]]);
    // Zero means four; this dates from floppy disks.
    let setup = if header[0x1f1] == 0 {
        4
    } else {
        u64::from(header[0x1f1])
    };
    let wanted = (setup + 1) * 512 + u64::from(paragraphs) * 16;
    if length >= wanted {
        return Ok(());
    }
    Err(format!(
        "the kernel {} is truncated: {length} of {wanted} bytes; hint: build it again",
        file.display()
    ))
}

/// Bytes to copy of a kernel: its setup code has at most 64 sectors, and QEMU rejects a file that is
/// not twice as long.
const HEAD: u64 = 128 << 10;

/// Copies the beginning of a kernel, with the header that says how to load it.
///
/// # Errors
/// The kernel cannot be read, or the copy cannot be written.
pub(crate) fn copy_head(kernel: &Path, to: &Path) -> Result<(), String> {
    let from = open("kernel", kernel)?;
    let copied = File::create(to).and_then(|mut to| io::copy(&mut from.take(HEAD), &mut to));
    copied
        .map(drop)
        .map_err(|e| format!("cannot copy the beginning of {}: {e}", kernel.display()))
}

/// Walks the uncompressed archives of an initrd.
///
/// # Errors
/// The file is missing, or it ends inside an archive member.
pub(crate) fn check_initrd(file: &Path) -> Result<(), String> {
    let opened = open("initrd", file)?;
    let length = length(&opened, file)?;
    match ends_within_a_file(BufReader::new(opened), length) {
        Ok(false) => Ok(()),
        Ok(true) => Err(format!(
            "the initrd {} is truncated; hint: build it again",
            file.display()
        )),
        Err(error) => Err(format!(
            "cannot read the initrd {}: {error}",
            file.display()
        )),
    }
}

/// The least memory, in MiB, with which a guest can unpack its initrd. The initrd is in memory
/// twice: packed and unpacked.
pub(crate) fn least_memory(initrd: Option<&Path>) -> u64 {
    let bytes = initrd
        .and_then(|file| file.metadata().ok())
        .map_or(0, |m| m.len());
    KERNEL_MIB + 2 * bytes.div_ceil(1 << 20)
}

fn open(what: &str, file: &Path) -> Result<File, String> {
    File::open(file).map_err(|e| format!("cannot read the {what} {}: {e}", file.display()))
}

fn length(opened: &File, file: &Path) -> Result<u64, String> {
    let metadata = opened
        .metadata()
        .map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(metadata.len())
}

/// Reads the newc format: headers of 110 bytes; names and contents are padded to four bytes.
fn ends_within_a_file(mut archive: impl Read + Seek, length: u64) -> io::Result<bool> {
    let mut at = 0;
    let mut inside = false;
    while at < length {
        archive.seek(io::SeekFrom::Start(at))?;
        let mut magic = Vec::new();
        archive.by_ref().take(6).read_to_end(&mut magic)?;
        match magic.as_slice() {
            b"070701" | b"070702" => {}
            // Padding between two archives.
            [0, ..] if !inside => {
                at += 4;
                continue;
            }
            // The rest is compressed, or the file ends inside a header.
            _ => return Ok(inside),
        }
        let mut header = [0; 104];
        if archive.read_exact(&mut header).is_err() {
            return Ok(true);
        }
        let field = |n: usize| hexadecimal(&header[n * 8..n * 8 + 8]);
        let (size, name_size) = (field(6), field(11));
        let mut name = Vec::new();
        archive.by_ref().take(name_size).read_to_end(&mut name)?;
        inside = name != b"TRAILER!!!\0";
        at = (at + 110 + name_size).next_multiple_of(4) + size;
        if at > length {
            return Ok(true);
        }
        at = at.next_multiple_of(4);
    }
    Ok(inside)
}

fn hexadecimal(digits: &[u8]) -> u64 {
    let digits = str::from_utf8(digits).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn entry(name: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = b"070701".to_vec();
        for n in 0..13 {
            let field = match n {
                6 => content.len(),
                11 => name.len() + 1,
                _ => 0,
            };
            bytes.extend(format!("{field:08x}").bytes());
        }
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn cut(bytes: &[u8]) -> bool {
        ends_within_a_file(Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    #[test]
    fn truncated_initrd_is_recognized() {
        let one = [entry("init", b"#!/bin/sh"), entry("TRAILER!!!", b"")].concat();
        let padded = [one.clone(), vec![0; 512]].concat();
        let two = [padded.clone(), one.clone()].concat();
        let compressed = [padded.clone(), b"\x28\xb5\x2f\xfd whatever".to_vec()].concat();
        for whole in [&one, &padded, &two, &compressed] {
            assert!(!cut(whole));
        }
        for length in [50, 115, one.len() / 2, one.len() - 20] {
            assert!(cut(&one[..length]), "{length}");
        }
        assert!(cut(&two[..two.len() - 130]));
    }

    #[test]
    fn truncated_kernel_is_reported_with_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vmlinuz");
        let mut kernel = vec![0; 0x1000];
        kernel[0x1f1] = 1;
        kernel[0x1f4..0x1f8].copy_from_slice(&192_u32.to_le_bytes());
        kernel[0x202..0x206].copy_from_slice(b"HdrS");
        std::fs::write(&file, &kernel).unwrap();
        check_kernel(&file).unwrap();
        std::fs::write(&file, &kernel[..0x800]).unwrap();
        assert!(
            check_kernel(&file)
                .unwrap_err()
                .contains("2048 of 4096 bytes")
        );
        std::fs::write(&file, "no kernel").unwrap();
        assert!(
            check_kernel(&file)
                .unwrap_err()
                .contains("not an x86 Linux kernel")
        );
    }
}
