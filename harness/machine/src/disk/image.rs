//! The image files of a machine's disks. Given files are never written: overlays are created on them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::disk::Blank;
use crate::disk::Disk;
use crate::disk::Drive;
use crate::disk::Format;
use crate::disk::Origin;
use crate::disk::SavedDrive;
use crate::error::MachineError;
use crate::profile::{Bus, Profile};
use base::command;
use base::private_dir::PrivateFolder;

/// Creates the files of the profile's disks and of additional disks, in this order.
pub(crate) fn make(
    profile: &Profile,
    more: &[Disk],
    folder: &PrivateFolder,
) -> Result<Vec<Drive>, MachineError> {
    let fixed = profile.disks.iter().map(|disk| {
        let blank = Blank {
            mib: disk.size.get(),
            ..Blank::default()
        };
        (Disk::Blank(blank), disk.bus)
    });
    fixed
        .chain(more.iter().map(|disk| (disk.clone(), profile.disk_bus)))
        .enumerate()
        .map(|(number, (disk, bus))| drive(number, disk, bus, folder).map_err(MachineError::Start))
        .collect()
}

/// Creates overlays on the disks of a snapshot; `source` is its folder.
pub(crate) fn overlays(
    source: &Path,
    drives: &[SavedDrive],
    folder: &PrivateFolder,
) -> Result<Vec<Drive>, MachineError> {
    let overlay = |drive: &SavedDrive| {
        let (base, base_format) = (source.join(&drive.file), drive.format);
        let (file, format, origin) = if drive.read_only {
            (base, base_format, Origin::Volume)
        } else {
            let file = folder.file(&format!("{}.qcow2", drive.id));
            make_overlay(&file, &base, base_format)?;
            let format = base_format;
            (file, Format::Qcow2, Origin::Overlay { base, format })
        };
        Ok(Drive {
            id: drive.id.clone(),
            file,
            format,
            bus: drive.bus,
            read_only: drive.read_only,
            origin,
            socket: None,
        })
    };
    drives
        .iter()
        .map(|drive| overlay(drive).map_err(MachineError::Start))
        .collect()
}

/// Copies the disks of a snapshot; `source` is its folder.
pub(crate) fn copies(
    source: &Path,
    drives: &[SavedDrive],
    folder: &PrivateFolder,
) -> Result<Vec<Drive>, MachineError> {
    let copied = |drive: &SavedDrive| {
        let file = folder.file(&drive.file);
        copy(&source.join(&drive.file), &file).map_err(MachineError::Start)?;
        Ok(Drive {
            id: drive.id.clone(),
            file,
            format: drive.format,
            bus: drive.bus,
            read_only: drive.read_only,
            origin: Origin::Persistent,
            socket: None,
        })
    };
    drives.iter().map(copied).collect()
}

/// Copies sparsely, or as a reflink if the file system supports that.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let options = ["--sparse=always", "--reflink=auto", "--"];
    command::run(Command::new("cp").args(options).arg(from).arg(to)).map(drop)
}

fn drive(number: usize, disk: Disk, bus: Bus, folder: &PrivateFolder) -> Result<Drive, String> {
    let id = format!("disk{number}");
    let (file, format, origin) = match disk {
        Disk::Blank(blank) => {
            let file = folder.file(&format!("{id}.img"));
            make_blank(&file, &blank)?;
            (file, Format::Raw, Origin::Blank(blank))
        }
        Disk::Kept(file) => {
            let format = format_of(&file)?;
            (absolute(&file)?, format, Origin::Persistent)
        }
        Disk::Base(base) => {
            let file = folder.file(&format!("{id}.qcow2"));
            let (base, format) = (absolute(&base)?, format_of(&base)?);
            make_overlay(&file, &base, format)?;
            (file, Format::Qcow2, Origin::Overlay { base, format })
        }
    };
    Ok(Drive {
        id,
        file,
        format,
        bus,
        read_only: false,
        origin,
        socket: None,
    })
}

/// Creates a sparse file, partitioned and formatted as requested.
///
/// # Errors
/// The disk space does not suffice, or `mke2fs` or `sfdisk` is missing.
pub fn make_blank(file: &Path, blank: &Blank) -> Result<(), String> {
    let sized = File::create_new(file).and_then(|new| new.set_len(blank.mib << 20));
    sized.map_err(|e| format!("cannot create {}: {e}", file.display()))?;
    if let Some(table) = partition_table(blank) {
        let sfdisk = command::find("sfdisk").ok_or("sfdisk not found; hint: apt install fdisk")?;
        command::feed(Command::new(sfdisk).arg("--quiet").arg(file), &table)?;
    }
    match &blank.label {
        Some(label) => {
            let mke2fs =
                command::find("mke2fs").ok_or("mke2fs not found; hint: apt install e2fsprogs")?;
            let mut format = Command::new(mke2fs);
            format.args(ext4_options(label, blank)).arg(file);
            format.args(ext4_size(blank));
            command::run(&mut format).map(drop)
        }
        None => Ok(()),
    }
}

/// Start of the partition, and free space behind it for the backup partition table, in MiB.
const MARGIN: u64 = 1;

/// Input for sfdisk(8): one partition.
pub(crate) fn partition_table(blank: &Blank) -> Option<String> {
    let name = blank.partition.as_ref()?;
    let size = blank.mib.saturating_sub(2 * MARGIN);
    let row = format!("start={MARGIN}MiB, size={size}MiB, name=\"{name}\"");
    Some(format!("label: gpt\n{row}\n"))
}

/// Options of mke2fs(8) for a disk or its partition.
pub(crate) fn ext4_options<'a>(label: &'a str, blank: &Blank) -> [&'a str; 8] {
    // Otherwise the root directory belongs to the user of this process.
    let extended = match blank.partition {
        Some(_) => "root_owner=0:0,offset=1048576",
        None => "root_owner=0:0",
    };
    ["-q", "-F", "-t", "ext4", "-E", extended, "-L", label]
}

/// Size argument of mke2fs(8); `None` for the whole disk.
pub(crate) fn ext4_size(blank: &Blank) -> Option<String> {
    let size = blank.mib.saturating_sub(2 * MARGIN);
    blank.partition.as_ref().map(|_| format!("{size}M"))
}

fn make_overlay(file: &Path, base: &Path, format: Format) -> Result<(), String> {
    let mut create = Command::new(qemu_img()?);
    create.args(["create", "-q", "-f", "qcow2", "-F", format.name(), "-b"]);
    command::run(create.arg(base).arg(file)).map(drop)
}

/// Converts a disk with overlays to one raw file.
pub(crate) fn flatten(drive: &mut Drive, folder: &PrivateFolder) -> Result<(), String> {
    if drive.format == Format::Raw {
        return Ok(());
    }
    let plain = folder.file(&format!("{}.raw", drive.id));
    let mut convert = Command::new(qemu_img()?);
    convert.args(["convert", "-q", "-f", drive.format.name(), "-O", "raw"]);
    command::run(convert.arg(&drive.file).arg(&plain))?;
    let _ = std::fs::remove_file(&drive.file);
    (drive.file, drive.format) = (plain, Format::Raw);
    Ok(())
}

fn qemu_img() -> Result<PathBuf, String> {
    command::find("qemu-img")
        .ok_or_else(|| "qemu-img not found; hint: apt install qemu-utils".into())
}

/// Detects the format from the first bytes. QEMU's own detection could be tricked by a guest.
fn format_of(file: &Path) -> Result<Format, String> {
    let mut magic = [0; 4];
    let mut opened = File::open(file).map_err(|e| format!("disk {}: {e}", file.display()))?;
    match opened.read_exact(&mut magic) {
        Ok(()) if &magic == b"QFI\xfb" => Ok(Format::Qcow2),
        _ => Ok(Format::Raw),
    }
}

/// Whether QEMU would open further files that this file names: a backing file or a data file
/// (docs/interop/qcow2.txt of QEMU). A missing file names none.
pub(crate) fn reads_other_files(file: &Path) -> std::io::Result<bool> {
    let mut header = Vec::new();
    match File::open(file) {
        Ok(opened) => opened.take(80).read_to_end(&mut header)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let backing = header
        .get(8..16)
        .is_some_and(|at| at.iter().any(|&byte| byte != 0));
    // Bit 2 of the incompatible features, which version 2 does not have.
    let data = header.get(79).is_some_and(|features| features & 0b100 != 0) && header[7] > 2;
    Ok(header.starts_with(b"QFI\xfb") && (backing || data))
}

fn absolute(file: &Path) -> Result<PathBuf, String> {
    file.canonicalize()
        .map_err(|e| format!("disk {}: {e}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::super::tools;
    use super::*;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn blank_with_a_label_is_ext4() {
        tools::require("mke2fs");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.img");
        let blank = Blank {
            mib: 16,
            label: Some("RANCHER_STATE".into()),
            partition: None,
        };
        make_blank(&file, &blank).unwrap();
        let mut superblock = [0; 136];
        File::open(&file)
            .unwrap()
            .read_exact_at(&mut superblock, 1024)
            .unwrap();
        assert_eq!(&superblock[56..58], [0x53, 0xef]);
        assert_eq!(&superblock[120..133], b"RANCHER_STATE");
    }

    #[test]
    fn partition_has_its_name_and_the_file_system() {
        tools::require("mke2fs");
        tools::require("sfdisk");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.img");
        let blank = Blank {
            mib: 16,
            label: Some("inside".into()),
            partition: Some("state".into()),
        };
        make_blank(&file, &blank).unwrap();
        let at = |place: u64| {
            let mut bytes = [0; 10];
            let disk = File::open(&file).unwrap();
            disk.read_exact_at(&mut bytes, place).unwrap();
            bytes
        };
        assert_eq!(&at(512)[..8], b"EFI PART");
        // The first entry's name, in UTF-16: UEFI specification, table 5.6.
        assert_eq!(&at(1024 + 56), b"s\0t\0a\0t\0e\0");
        assert_eq!(&at((1 << 20) + 1024 + 120)[..6], b"inside");
    }

    #[test]
    fn format_is_detected_from_the_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("disk");
        std::fs::write(&file, b"QFI\xfb and more").unwrap();
        assert_eq!(format_of(&file).unwrap(), Format::Qcow2);
        std::fs::write(&file, b"").unwrap();
        assert_eq!(format_of(&file).unwrap(), Format::Raw);
        assert!(
            format_of(&folder.path().join("none"))
                .unwrap_err()
                .contains("none")
        );
    }
}
