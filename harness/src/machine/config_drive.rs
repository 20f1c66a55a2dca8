//! The config drive: a small FAT volume named `config-2`, as OpenStack hands it to a machine.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};

use super::plan::{Drive, Format, Origin};
use crate::profile::Bus;

/// Room beside the user data itself.
const SPARE: u64 = 1 << 20;

/// Writes a volume with `openstack/latest/user_data`.
pub(super) fn write(file: &Path, user_data: &str) -> io::Result<()> {
    let disk = File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(file)?;
    // Whole sectors, or the filesystem is larger than the disk.
    let size = (SPARE + 2 * user_data.len() as u64).next_multiple_of(4096);
    disk.set_len(size)?;
    let label = FormatVolumeOptions::new().volume_label(*b"config-2   ");
    fatfs::format_volume(&disk, label)?;
    let volume = FileSystem::new(&disk, FsOptions::new())?;
    let folder = volume
        .root_dir()
        .create_dir("openstack")?
        .create_dir("latest")?;
    folder
        .create_file("user_data")?
        .write_all(user_data.as_bytes())?;
    drop(folder);
    volume.unmount()
}

/// The drive that holds it.
pub(super) fn drive(file: PathBuf, bus: Bus) -> Drive {
    Drive {
        id: "config".into(),
        file,
        format: Format::Raw,
        // An emulated SATA disk cannot be read-only; virtio can everywhere.
        bus: if bus == Bus::Sata { Bus::Virtio } else { bus },
        read_only: true,
        origin: Origin::ConfigDrive,
        socket: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.img");
        let long = format!("#cloud-config\n{}", "# filler\n".repeat(300_000));
        write(&file, &long).unwrap();
        let volume = FileSystem::new(
            File::options().read(true).write(true).open(&file).unwrap(),
            FsOptions::new(),
        )
        .unwrap();
        assert_eq!(
            volume
                .read_volume_label_from_root_dir_as_bytes()
                .unwrap()
                .unwrap(),
            *b"config-2   "
        );
        let mut read = String::new();
        volume
            .root_dir()
            .open_file("openstack/latest/user_data")
            .unwrap()
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(read, long);
    }
}
