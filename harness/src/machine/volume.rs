//! Volumes that tell a machine something: small FAT file systems, read-only. The config drive, as
//! OpenStack hands it to a machine, is the one named `config-2`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use serde::Serialize;

use super::plan::{Drive, Format, Origin};
use crate::profile::Bus;

/// A volume that a machine is given.
#[derive(Debug, Clone, Serialize)]
pub struct Volume {
    /// Its label.
    pub label: String,
    /// What its files hold, by their paths.
    pub files: BTreeMap<String, String>,
}

/// The most letters of a label.
pub(crate) const LONGEST_LABEL: usize = 11;

/// Room beside the files themselves.
const SPARE: u64 = 1 << 20;

impl Volume {
    /// The config drive.
    pub(super) fn config_drive(user_data: &str) -> Self {
        let path = "openstack/latest/user_data".to_owned();
        Self {
            label: "config-2".into(),
            files: [(path, user_data.to_owned())].into(),
        }
    }

    /// Writes it.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let disk = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(file)?;
        let content: usize = self.files.values().map(String::len).sum();
        // Whole sectors, or the filesystem is larger than the disk.
        disk.set_len((SPARE + 2 * content as u64).next_multiple_of(4096))?;
        let mut label = [b' '; LONGEST_LABEL];
        let letters = label.iter_mut().zip(self.label.bytes());
        letters.for_each(|(place, letter)| *place = letter);
        fatfs::format_volume(&disk, FormatVolumeOptions::new().volume_label(label))?;
        let volume = FileSystem::new(&disk, FsOptions::new())?;
        for (path, text) in &self.files {
            let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
            let mut folder = volume.root_dir();
            for part in folders.split('/').filter(|part| !part.is_empty()) {
                // One that is there is opened.
                folder = folder.create_dir(part)?;
            }
            folder.create_file(name)?.write_all(text.as_bytes())?;
        }
        volume.unmount()
    }
}

/// The drive that holds it.
pub(super) fn drive(id: &str, file: PathBuf, bus: Bus) -> Drive {
    Drive {
        id: id.into(),
        file,
        format: Format::Raw,
        // An emulated SATA disk cannot be read-only; virtio can everywhere.
        bus: if bus == Bus::Sata { Bus::Virtio } else { bus },
        read_only: true,
        origin: Origin::Volume,
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
        let mut written = Volume::config_drive(&long);
        let beside = "openstack/latest/meta_data.json";
        written.files.insert(beside.into(), "{}".into());
        written.write(&file).unwrap();
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
        for (path, expected) in &written.files {
            let mut read = String::new();
            let mut file = volume.root_dir().open_file(path).unwrap();
            file.read_to_string(&mut read).unwrap();
            assert_eq!(read, *expected);
        }
    }
}
