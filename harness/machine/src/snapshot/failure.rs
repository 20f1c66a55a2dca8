//! Failure snapshots: memory and devices as one compressed stream of QEMU's migration, disks without
//! backing files, and the settings that QEMU needs to load them.
//!
//! A snapshot is never written again: a restored machine uses memory of its own and overlays on the
//! disks.

use crate::snapshot::stream::feed;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::disk::Drive;
use crate::disk::SavedDrive;
use crate::disk::image;
use crate::error::MachineError;
use crate::network::card::CardNetwork;
use crate::profile::{Accel, Boot, Profile, ResolvedProfile};
use crate::qemu::migration::{Scope, Transfer};
use crate::qemu::plugged::{Plugged, SLOTS};
use crate::qemu::qmp::Qmp;
use crate::services::metadata::Metadata;
use crate::snapshot::checkpoint::check_lengths;
use crate::snapshot::damage::SnapshotError;
use crate::spec::MachineSpec;
use crate::ssh::Identity;
use base::private_dir::PrivateFolder;
use host::speed;

/// Memory and devices.
pub(crate) const STATE: &str = "state.zst";
/// The description of the snapshot.
pub(crate) const ABOUT: &str = "machine.json";
/// Format version; changes when older snapshots cannot be read any more.
pub(crate) const VERSION: u32 = 1;
/// Timeout for compressing or decompressing a gigabyte of memory, on the reference host.
pub(crate) const TRANSFER_SECONDS: u64 = 120;

/// The description of a failure snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) version: u32,
    /// The version of QEMU.
    pub(crate) qemu: String,
    /// As resolved. The state of one accelerator cannot be loaded by another.
    pub(crate) accel: Accel,
    pub(crate) profile: Profile,
    /// Memory in MiB.
    pub(crate) memory: u64,
    pub(crate) named_memory: bool,
    /// Whether it has a balloon device.
    pub(crate) balloon: bool,
    /// Whether its network is not filtered.
    #[serde(default)]
    pub(crate) outside: bool,
    pub(crate) kernel_args: Vec<String>,
    #[serde(default)]
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) first_card: CardNetwork,
    #[serde(default)]
    pub(crate) cards: Vec<CardNetwork>,
    #[serde(default = "default_slots")]
    pub(crate) slots: usize,
    /// The nonces that identify it, its own first.
    #[serde(rename = "words")]
    pub(crate) nonces: Vec<String>,
    /// The host key, if one was pinned for its current boot.
    pub(crate) host_key: Option<Vec<u8>>,
    pub(crate) drives: Vec<SavedDrive>,
    #[serde(default)]
    pub(crate) plugged: Plugged,
    /// Length of each file in bytes, to detect a truncated file before QEMU reads it.
    pub(crate) lengths: Vec<(String, u64)>,
    /// When it was made, as Unix time in seconds.
    pub(crate) at: f64,
}

/// An open failure snapshot. A shared lock protects it from eviction.
#[derive(Debug)]
pub struct FailureSnapshot {
    pub(crate) folder: PathBuf,
    pub(crate) about: About,
    _lock: Flock<File>,
}

impl FailureSnapshot {
    /// Opens the snapshot in a folder.
    ///
    /// # Errors
    /// The folder holds no snapshot, an incomplete one, or one of another format version.
    pub fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let file = folder.join(ABOUT);
        let lock = File::open(folder).map_err(SnapshotError::io(folder))?;
        let lock = Flock::lock(lock, FlockArg::LockSharedNonblock).map_err(|_| {
            let folder = folder.to_owned();
            SnapshotError::Evicted { folder }
        })?;
        let text = std::fs::read(&file).map_err(SnapshotError::io(&file))?;
        let value: Value = serde_json::from_slice(&text).map_err(SnapshotError::format(&file))?;
        if value["version"] != json!(VERSION) {
            return Err(SnapshotError::Version { file });
        }
        let about: About = serde_json::from_value(value).map_err(SnapshotError::format(&file))?;
        check_files(folder, &about).map_err(|why| SnapshotError::Foreign { file, why })?;
        check_lengths(folder, &about.lengths)?;
        let folder = folder.canonicalize().map_err(SnapshotError::io(folder))?;
        Ok(Self {
            folder,
            about,
            _lock: lock,
        })
    }

    /// When it was made, as Unix time in seconds.
    pub fn at(&self) -> f64 {
        self.about.at
    }

    pub(crate) fn memory_is_named(&self) -> bool {
        self.about.named_memory
    }

    /// The machine's own nonce.
    pub(crate) fn nonce(&self) -> String {
        self.about.nonces.first().cloned().unwrap_or_default()
    }

    pub(crate) fn identity(&self) -> Identity {
        let about = &self.about;
        let direct = about.profile.boot == Boot::Kernel;
        Identity::restored(&about.nonces, direct, about.host_key.as_deref())
    }

    /// Overlays on its disks.
    pub(crate) fn drives(&self, folder: &PrivateFolder) -> Result<Vec<Drive>, MachineError> {
        image::overlays(&self.folder, &self.about.drives, folder)
    }

    /// Resolves the profile on this host, whose QEMU must be able to load the state.
    fn resolve(&self, kernel: &Path) -> Result<ResolvedProfile, MachineError> {
        let mut profile = self.about.profile.clone();
        profile.accel = self.about.accel;
        let resolved = profile.resolve(kernel);
        let resolved = resolved.map_err(|why| MachineError::Start(why.to_string()))?;
        if !same_release(&resolved.qemu_version, &self.about.qemu) {
            let (made_by, here) = (&self.about.qemu, &resolved.qemu_version);
            return Err(MachineError::Other(format!(
                "cannot restore the snapshot: QEMU {made_by} made it, and this host has QEMU {here}; hint: \
 use the same release"
            )));
        }
        Ok(resolved)
    }

    pub(crate) fn spec(
        &self,
        kernel: &Path,
        initrd: Option<&Path>,
    ) -> Result<MachineSpec, MachineError> {
        Ok(MachineSpec {
            kernel_args: self.about.kernel_args.clone(),
            memory: Some(self.about.memory),
            metadata: self.about.metadata.clone(),
            first_card: self.about.first_card.clone(),
            cards: self.about.cards.clone(),
            slots: self.about.slots,
            balloon: self.about.balloon,
            outside: self.about.outside,
            ..MachineSpec::new(self.resolve(kernel)?, kernel, initrd)
        })
    }

    /// Loads the state into a QEMU that waits for it. Returns the result of reading the file, and QEMU's
    /// result.
    pub(crate) async fn load(
        &self,
        qmp: &Qmp,
        folder: &PrivateFolder,
    ) -> Result<(io::Result<()>, Result<(), MachineError>), MachineError> {
        let socket = PathBuf::from(folder.socket("state.sock"));
        let uri = format!("unix:{}", socket.display());
        let transfer = Transfer::read(qmp, Scope::All, &uri).await?;
        let state = self.folder.join(STATE);
        let read = tokio::task::spawn_blocking(move || feed(&state, &socket));
        let end = transfer.end(speed::seconds(TRANSFER_SECONDS));
        let (read, loaded) = tokio::join!(read, end);
        let read = read.map_err(io::Error::other).and_then(|read| read);
        Ok((read, loaded))
    }
}

fn default_slots() -> usize {
    SLOTS
}

/// Checks the file names. A snapshot may come from another user: it must name files of its own folder
/// only, and its disks must name no other files.
fn check_files(folder: &Path, about: &About) -> Result<(), String> {
    let drives = || about.drives.iter().chain(about.plugged.drives());
    let lengths = about.lengths.iter().map(|(name, _)| name.as_str());
    let files = drives().map(|drive| drive.file.as_str()).chain(lengths);
    for name in files.chain([STATE]) {
        let loaded = name.escape_debug();
        let Some(file) = own_file(folder, name) else {
            return Err(format!("`{loaded}` is not a file in this folder"));
        };
        if file.symlink_metadata().is_ok_and(|file| !file.is_file()) {
            return Err(format!("`{loaded}` is not a regular file"));
        }
    }
    for drive in drives() {
        if own_file(folder, &drive.id).is_none() {
            return Err(format!(
                "`{}` is not a valid disk name",
                drive.id.escape_debug()
            ));
        }
        let layered = image::reads_other_files(&folder.join(&drive.file));
        if layered.map_err(|error| format!("{}: {error}", drive.file))? {
            return Err(format!("{} has a backing file or data file", drive.file));
        }
    }
    Ok(())
}

/// The path of a file in this folder; `None` if the name points elsewhere.
fn own_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let own = base::files::is_relative(name) && !name.contains('/');
    own.then(|| folder.join(name))
}

/// Whether two versions belong to one QEMU release. Patch levels can read each other's state.
fn same_release(one: &str, other: &str) -> bool {
    let release = |version: &str| {
        let numbers = version.split(['.', ' ']).take(2);
        numbers.map(str::to_owned).collect::<Vec<_>>()
    };
    release(one) == release(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_cannot_name_files_outside_its_folder() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("machine");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(temp.path().join("outside"), "x").unwrap();
        let mut plain = b"QFI\xfb\0\0\0\x03".to_vec();
        plain.resize(104, 0);
        std::fs::write(folder.join("plain"), &plain).unwrap();
        plain[15] = 104;
        std::fs::write(folder.join("layer"), &plain).unwrap();
        std::os::unix::fs::symlink("../outside", folder.join("link")).unwrap();
        let profile = "{name: x, about: x, machine: pc, memory: 64, cpus: 1}";
        let profile: Profile = serde_yaml::from_str(profile).unwrap();
        let why = |id: &str, file: &str| {
            let drive = json!({
                "id": id, "file": file, "format": "Qcow2", "bus": "virtio", "read_only": false,
            });
            let about = json!({
                "version": VERSION, "qemu": "7.2.0", "accel": "tcg", "profile": profile,
                "memory": 64, "named_memory": false, "balloon": false, "kernel_args": [],
                "words": [], "host_key": null, "drives": [drive], "lengths": [], "at": 0.0,
            });
            std::fs::write(folder.join(ABOUT), about.to_string()).unwrap();
            let opened = FailureSnapshot::open(&folder);
            opened.err().map(|error| error.to_string())
        };
        assert_eq!(why("disk0", "plain"), None);
        for (id, file, wanted) in [
            ("disk0", "../outside", "not a file in this folder"),
            ("disk0", "/etc/passwd", "not a file in this folder"),
            ("disk0", "link", "not a regular file"),
            ("disk0", "layer", "has a backing file"),
            ("../disk0", "plain", "not a valid disk name"),
        ] {
            let why = why(id, file).unwrap();
            assert!(why.contains(wanted), "{why}");
        }
    }

    #[test]
    fn release_is_the_first_two_numbers_of_a_version() {
        assert!(same_release("7.2.22 (Debian 1:7.2+dfsg-7)", "7.2.9"));
        assert!(!same_release("7.2.22", "8.2.2 (Debian 1:8.2.2+ds)"));
        assert!(!same_release("10.0.3", "1.0.3"));
    }

    #[test]
    fn incomplete_or_foreign_snapshot_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let about = folder.path().join(ABOUT);
        let why = |text: &str| {
            std::fs::write(&about, text).unwrap();
            let opened = FailureSnapshot::open(folder.path());
            opened.unwrap_err().to_string()
        };
        assert!(why("{").contains("EOF"));
        assert!(why("{\"version\": 99}").contains("another version of the harness"));
        assert!(why("{\"version\": 1}").contains("missing field"));
        assert!(FailureSnapshot::open(&folder.path().join("none")).is_err());
    }
}
