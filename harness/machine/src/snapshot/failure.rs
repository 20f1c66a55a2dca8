//! A machine that was kept as it stood: memory and devices as one compressed stream of QEMU's
//! migration, disks that need no other file, and what QEMU must be told to take them in.
//!
//! Nothing of it is ever written again: what goes on from it does so in memory of its own and on
//! layers above the disks.

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
use crate::qemu::migration::{Transfer, What};
use crate::qemu::plugged::Plugged;
use crate::qemu::qmp::Qmp;
use crate::services::metadata::Metadata;
use crate::snapshot::checkpoint::check_lengths;
use crate::spec::MachineSpec;
use crate::ssh::Identity;
use base::private_dir::PrivateFolder;
use host::speed;

/// Memory and devices.
pub(crate) const STATE: &str = "state.zst";
/// What is known of it.
pub(crate) const ABOUT: &str = "machine.json";
/// Changes when what was kept before cannot be read any more.
pub(crate) const VERSION: u32 = 1;
/// For a gigabyte of memory to go through the compression, on the reference host.
pub(crate) const TRANSFER_SECONDS: u64 = 120;

/// What is known of a kept machine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) version: u32,
    /// The version of QEMU.
    pub(crate) qemu: String,
    /// As resolved; a state of the one is nothing for the other.
    pub(crate) accel: Accel,
    pub(crate) profile: Profile,
    /// MiB.
    pub(crate) memory: u64,
    pub(crate) named_memory: bool,
    /// Whether it has the device of that name.
    pub(crate) balloon: bool,
    /// Whether it reaches more than its fixtures.
    #[serde(default)]
    pub(crate) outside: bool,
    pub(crate) kernel_args: Vec<String>,
    #[serde(default)]
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) first_card: CardNetwork,
    #[serde(default)]
    pub(crate) cards: Vec<CardNetwork>,
    /// The words by which it is known, its own first.
    pub(crate) words: Vec<String>,
    /// Where one was pinned for this boot.
    pub(crate) host_key: Option<Vec<u8>>,
    pub(crate) drives: Vec<SavedDrive>,
    #[serde(default)]
    pub(crate) plugged: Plugged,
    /// Length of each file in bytes: one that was cut short is found before QEMU trips over it.
    pub(crate) lengths: Vec<(String, u64)>,
    /// When, in seconds since 1970.
    pub(crate) at: f64,
}

/// A kept machine. Nobody sweeps it meanwhile.
#[derive(Debug)]
pub struct FailureSnapshot {
    pub(crate) folder: PathBuf,
    pub(crate) about: About,
    _lock: Flock<File>,
}

impl FailureSnapshot {
    /// Reads what lies in a folder.
    ///
    /// # Errors
    /// There is no kept machine, or not all of it, or this harness cannot read it.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let file = folder.join(ABOUT);
        let in_file = |why: String| format!("{}: {why}", file.display());
        let lock = File::open(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let lock = Flock::lock(lock, FlockArg::LockSharedNonblock)
            .map_err(|_| format!("{} is being removed", folder.display()))?;
        let text = std::fs::read(&file).map_err(|e| in_file(e.to_string()))?;
        let value: Value = serde_json::from_slice(&text).map_err(|e| in_file(e.to_string()))?;
        if value["version"] != json!(VERSION) {
            return Err(in_file("another version of the harness wrote it".into()));
        }
        let about: About = serde_json::from_value(value).map_err(|e| in_file(e.to_string()))?;
        check_files(folder, &about).map_err(in_file)?;
        check_lengths(folder, &about.lengths)?;
        let folder = folder.canonicalize().map_err(|e| e.to_string())?;
        Ok(Self {
            folder,
            about,
            _lock: lock,
        })
    }

    /// When it was kept, in seconds since 1970.
    pub fn at(&self) -> f64 {
        self.about.at
    }

    pub(crate) fn memory_is_named(&self) -> bool {
        self.about.named_memory
    }

    /// Its own word.
    pub(crate) fn nonce(&self) -> String {
        self.about.words.first().cloned().unwrap_or_default()
    }

    pub(crate) fn identity(&self) -> Identity {
        let about = &self.about;
        let direct = about.profile.boot == Boot::Kernel;
        Identity::of_kept(&about.words, direct, about.host_key.as_deref())
    }

    /// Layers above its disks.
    pub(crate) fn drives(&self, folder: &PrivateFolder) -> Result<Vec<Drive>, MachineError> {
        image::above(&self.folder, &self.about.drives, folder)
    }

    /// The profile on this host, which must be able to go on from what that one wrote.
    fn resolve(&self, kernel: &Path) -> Result<ResolvedProfile, MachineError> {
        let mut profile = self.about.profile.clone();
        profile.accel = self.about.accel;
        let resolved = profile.resolve(kernel);
        let resolved = resolved.map_err(|why| MachineError::Start(why.to_string()))?;
        if !same_release(&resolved.qemu_version, &self.about.qemu) {
            let (kept, here) = (&self.about.qemu, &resolved.qemu_version);
            return Err(MachineError::Other(format!(
                "the machine was kept by QEMU {kept}, and this host has {here}, which cannot go on \
                 from there"
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
            balloon: self.about.balloon,
            outside: self.about.outside,
            ..MachineSpec::new(self.resolve(kernel)?, kernel, initrd)
        })
    }

    /// Gives a QEMU that waits for it the state. Two verdicts: what reading it came to, and what
    /// QEMU says.
    pub(crate) async fn load(
        &self,
        qmp: &Qmp,
        folder: &PrivateFolder,
    ) -> Result<(io::Result<()>, Result<(), MachineError>), MachineError> {
        let socket = PathBuf::from(folder.socket("state.sock"));
        let uri = format!("unix:{}", socket.display());
        let transfer = Transfer::read(qmp, What::All, &uri).await?;
        let state = self.folder.join(STATE);
        let fed = tokio::task::spawn_blocking(move || feed(&state, &socket));
        let end = transfer.end(speed::seconds(TRANSFER_SECONDS));
        let (fed, told) = tokio::join!(fed, end);
        let fed = fed.map_err(io::Error::other).and_then(|fed| fed);
        Ok((fed, told))
    }
}

/// A kept machine may come from another user: it names files of its own folder only, and its disks read no
/// other files.
fn check_files(folder: &Path, about: &About) -> Result<(), String> {
    let drives = || about.drives.iter().chain(about.plugged.drives());
    let lengths = about.lengths.iter().map(|(name, _)| name.as_str());
    let files = drives().map(|drive| drive.file.as_str()).chain(lengths);
    for name in files.chain([STATE]) {
        let told = name.escape_debug();
        let Some(file) = own_file(folder, name) else {
            return Err(format!("`{told}` is no file of this folder"));
        };
        if file.symlink_metadata().is_ok_and(|file| !file.is_file()) {
            return Err(format!("`{told}` is a link or no plain file"));
        }
    }
    for drive in drives() {
        if own_file(folder, &drive.id).is_none() {
            return Err(format!(
                "`{}` is no name of a disk",
                drive.id.escape_debug()
            ));
        }
        let layered = image::reads_other_files(&folder.join(&drive.file));
        if layered.map_err(|error| format!("{}: {error}", drive.file))? {
            return Err(format!("{} is a layer above another file", drive.file));
        }
    }
    Ok(())
}

/// A file of a folder, and of no other.
fn own_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let own = base::files::is_relative(name) && !name.contains('/');
    own.then(|| folder.join(name))
}

/// One release of QEMU reads what another patch level of it wrote.
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
    fn kept_machine_names_no_file_outside_of_its_folder() {
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
            FailureSnapshot::open(&folder).err()
        };
        assert_eq!(why("disk0", "plain"), None);
        for (id, file, wanted) in [
            ("disk0", "../outside", "no file of this folder"),
            ("disk0", "/etc/passwd", "no file of this folder"),
            ("disk0", "link", "is a link"),
            ("disk0", "layer", "a layer above another file"),
            ("../disk0", "plain", "no name of a disk"),
        ] {
            let why = why(id, file).unwrap();
            assert!(why.contains(wanted), "{why}");
        }
    }

    #[test]
    fn a_release_is_two_numbers() {
        assert!(same_release("7.2.22 (Debian 1:7.2+dfsg-7)", "7.2.9"));
        assert!(!same_release("7.2.22", "8.2.2 (Debian 1:8.2.2+ds)"));
        assert!(!same_release("10.0.3", "1.0.3"));
    }

    #[test]
    fn what_is_not_whole_or_not_ours_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let about = folder.path().join(ABOUT);
        let why = |text: &str| {
            std::fs::write(&about, text).unwrap();
            FailureSnapshot::open(folder.path()).unwrap_err()
        };
        assert!(why("{").contains("EOF"));
        assert!(why("{\"version\": 99}").contains("another version of the harness"));
        assert!(why("{\"version\": 1}").contains("missing field"));
        assert!(FailureSnapshot::open(&folder.path().join("none")).is_err());
    }
}
