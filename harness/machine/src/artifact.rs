//! Kernel and initrd looked at before they are booted: what is cut short or cannot fit is told at
//! once, instead of a machine that says nothing until a deadline.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Beside its initrd a kernel needs about this much, in MiB.
const KERNEL_MIB: u64 = 64;

/// A kernel in the x86 boot format says in its header how long it is.
///
/// # Errors
/// It is missing, or shorter than that.
pub fn check_kernel(file: &Path) -> Result<(), String> {
    let opened = open("kernel", file)?;
    let length = length(&opened, file)?;
    let mut header = [0; 0x206];
    let whole_header = opened.read_exact_at(&mut header, 0).is_ok();
    if !whole_header || &header[0x202..] != b"HdrS" {
        return Err(format!("{} is not a Linux kernel for x86", file.display()));
    }
    let paragraphs =
        u32::from_le_bytes([header[0x1f4], header[0x1f5], header[0x1f6], header[0x1f7]]);
    // Zero stands for four, from the days of floppy disks.
    let setup = if header[0x1f1] == 0 {
        4
    } else {
        u64::from(header[0x1f1])
    };
    let wanted = (setup + 1) * 512 + u64::from(paragraphs) * 16;
    match length >= wanted {
        true => Ok(()),
        false => Err(format!(
            "the kernel {} is cut short: {length} of {wanted} bytes; build it anew",
            file.display()
        )),
    }
}

/// More of a kernel than its setup code can take: 64 sectors, and as much again, below which QEMU calls
/// it invalid.
const HEAD: u64 = 128 << 10;

/// Copies the beginning of a kernel, with the header that tells how it is loaded.
///
/// # Errors
/// The kernel cannot be read, or the copy not written.
pub fn copy_head(kernel: &Path, to: &Path) -> Result<(), String> {
    let from = open("kernel", kernel)?;
    let copied = File::create(to).and_then(|mut to| io::copy(&mut from.take(HEAD), &mut to));
    copied
        .map(drop)
        .map_err(|e| format!("the beginning of {}: {e}", kernel.display()))
}

/// Walks the archives of an initrd as far as they are not compressed.
///
/// # Errors
/// It is missing, or ends within a file.
pub fn check_initrd(file: &Path) -> Result<(), String> {
    let opened = open("initrd", file)?;
    let length = length(&opened, file)?;
    match ends_within_a_file(BufReader::new(opened), length) {
        Ok(false) => Ok(()),
        Ok(true) => Err(format!(
            "the initrd {} is cut short; build it anew",
            file.display()
        )),
        Err(error) => Err(format!("the initrd {}: {error}", file.display())),
    }
}

/// The least memory in MiB with which a guest can take in its initrd: it is there twice, as it
/// came and as it was unpacked.
pub fn least_memory(initrd: Option<&Path>) -> u64 {
    let bytes = initrd
        .and_then(|file| file.metadata().ok())
        .map_or(0, |m| m.len());
    KERNEL_MIB + 2 * bytes.div_ceil(1 << 20)
}

fn open(what: &str, file: &Path) -> Result<File, String> {
    File::open(file).map_err(|e| format!("the {what} {} cannot be read: {e}", file.display()))
}

fn length(opened: &File, file: &Path) -> Result<u64, String> {
    let metadata = opened
        .metadata()
        .map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(metadata.len())
}

/// The newc format: headers of 110 bytes, names and contents padded to four.
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
            // The rest is compressed, or the end came within a header.
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
    fn a_cut_initrd_is_told_from_a_whole_one() {
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
    fn a_cut_kernel_is_told_with_its_size() {
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
                .contains("not a Linux kernel")
        );
    }
}
