//! Volumes with seed data for a machine: small read-only file systems. The one labelled `config-2` is
//! the config drive of OpenStack.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use serde::Serialize;

use crate::disk::Drive;
use crate::disk::Format;
use crate::disk::Origin;
use crate::profile::Bus;
use base::{command, files};

/// The file system of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileSystemKind {
    /// FAT.
    #[default]
    Fat,
    /// ISO 9660 with long names (Joliet, Rock Ridge), as clouds create it.
    Iso9660,
}

/// A volume for a machine.
#[derive(Debug, Clone, Serialize)]
pub struct Volume {
    /// Its label.
    pub label: String,
    /// Contents of the files by path.
    pub files: BTreeMap<String, String>,
    /// Its file system.
    pub file_system: FileSystemKind,
}

/// Maximum length of a FAT label.
const MAX_LABEL: usize = 11;

/// Disk space in addition to the files, in bytes.
const SPARE: u64 = 1 << 20;

impl Volume {
    /// The config drive with this user data.
    pub(crate) fn config_drive(user_data: &str) -> Self {
        let path = "openstack/latest/user_data".to_owned();
        Self {
            label: "config-2".into(),
            files: [(path, user_data.to_owned())].into(),
            file_system: FileSystemKind::Fat,
        }
    }

    /// Writes the image.
    ///
    /// # Errors
    /// The disk space does not suffice, or `xorriso` is missing.
    pub(crate) fn write(&self, file: &Path) -> Result<(), String> {
        match self.file_system {
            FileSystemKind::Fat => self.write_fat(file).map_err(|error| error.to_string()),
            FileSystemKind::Iso9660 => self.write_iso(file),
        }
    }

    fn write_iso(&self, file: &Path) -> Result<(), String> {
        let xorriso =
            command::find("xorriso").ok_or("xorriso not found; hint: apt install xorriso")?;
        let folder = self.write_files().map_err(|error| error.to_string())?;
        let mut make = Command::new(xorriso);
        make.args(["-as", "mkisofs", "-quiet", "-J", "-r", "-V", &self.label]);
        command::run(make.arg("-o").arg(file).arg(folder.path())).map(drop)
    }

    /// Writes the files to a temporary folder.
    fn write_files(&self) -> io::Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        for (path, text) in &self.files {
            if !files::is_relative(path) {
                let why = format!("invalid path `{}` in a volume", path.escape_debug());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            let path = folder.path().join(path);
            if let Some(above) = path.parent() {
                std::fs::create_dir_all(above)?;
            }
            std::fs::write(path, text)?;
        }
        Ok(folder)
    }

    fn write_fat(&self, file: &Path) -> io::Result<()> {
        let disk = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(file)?;
        let content: usize = self.files.values().map(String::len).sum();
        // Whole sectors; otherwise the file system is larger than the disk.
        disk.set_len((SPARE + 2 * content as u64).next_multiple_of(4096))?;
        let mut label = [b' '; MAX_LABEL];
        let letters = label.iter_mut().zip(self.label.bytes());
        letters.for_each(|(place, letter)| *place = letter);
        fatfs::format_volume(&disk, FormatVolumeOptions::new().volume_label(label))?;
        let volume = FileSystem::new(&disk, FsOptions::new())?;
        for (path, text) in &self.files {
            let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
            let mut folder = volume.root_dir();
            for part in folders.split('/').filter(|part| !part.is_empty()) {
                // Opens an existing folder.
                folder = folder.create_dir(part)?;
            }
            folder.create_file(name)?.write_all(text.as_bytes())?;
        }
        volume.unmount()
    }
}

/// The drive of a volume.
pub(crate) fn drive(id: &str, file: PathBuf, bus: Bus) -> Drive {
    Drive {
        id: id.into(),
        file,
        format: Format::Raw,
        // An emulated SATA disk cannot be read-only; virtio is available everywhere.
        bus: if bus == Bus::Sata { Bus::Virtio } else { bus },
        read_only: true,
        origin: Origin::Volume,
        socket: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tools;
    use super::*;
    use std::io::Read as _;

    #[test]
    fn fat_volume_can_be_read_back() {
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

    #[test]
    fn volume_writes_no_file_outside_of_its_folder() {
        let temp = tempfile::tempdir().unwrap();
        let outside = temp.path().join("outside");
        for path in [outside.to_str().unwrap(), "../outside", "a/../../outside"] {
            let mut written = Volume::config_drive("");
            written.files.insert(path.to_owned(), "x".to_owned());
            let error = written.write_files().unwrap_err().to_string();
            assert!(error.contains("invalid path"), "{error}");
            assert!(!outside.exists());
        }
        for (path, below) in [
            ("a", true),
            ("a/b.c", true),
            ("", false),
            ("a//b", false),
            ("a/", false),
            ("./a", false),
            ("a\0", false),
        ] {
            assert_eq!(files::is_relative(path), below, "{path:?}");
        }
    }

    #[test]
    fn iso_has_its_label_and_long_file_names() {
        tools::require("xorriso");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.img");
        let mut written = Volume::config_drive("#cloud-config\n");
        written.file_system = FileSystemKind::Iso9660;
        written.write(&file).unwrap();
        // ECMA-119, 8.4: the primary volume descriptor is in sector 16.
        let image = std::fs::read(&file).unwrap();
        let descriptor = &image[16 * 2048..];
        assert_eq!(&descriptor[1..6], b"CD001");
        assert_eq!(&descriptor[40..72], format!("{:32}", "config-2").as_bytes());
        let mut list = Command::new("xorriso");
        list.arg("-indev")
            .arg(&file)
            .args(["-find", "/", "-type", "f"]);
        let found = command::run(&mut list).unwrap();
        assert!(found.contains("'/openstack/latest/user_data'"), "{found}");
    }
}
