//! A machine that was kept as it stood: memory and devices as one compressed stream of QEMU's
//! migration, disks that need no other file, and what QEMU must be told to take them in.
//!
//! Nothing of it is ever written again: what goes on from it does so in memory of its own and on
//! layers above the disks.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::hotplug::Plugged;
use super::plan::Drive;
use super::qmp::Qmp;
use super::saved::{Begin, SavedDrive, check_lengths};
use super::ssh::Identity;
use super::transfer::{Transfer, What};
use super::{CardNetwork, Machine, MachineError, MachineSpec, Metadata, disks};
use crate::log_dir::LogDir;
use crate::profile::{Accel, Boot, Profile, ResolvedProfile};
use base::private_dir::PrivateFolder;
use host::speed;

/// Memory and devices.
pub(super) const STATE: &str = "state.zst";
/// What is known of it.
pub(super) const ABOUT: &str = "machine.json";
/// Changes when what was kept before cannot be read any more.
pub(super) const VERSION: u32 = 1;
/// For a gigabyte of memory to go through the compression, on the reference host.
pub(super) const TRANSFER_SECONDS: u64 = 120;

/// What is known of a kept machine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) version: u32,
    /// The version of QEMU.
    pub(super) qemu: String,
    /// As resolved; a state of the one is nothing for the other.
    pub(super) accel: Accel,
    pub(super) profile: Profile,
    /// MiB.
    pub(super) memory: u64,
    pub(super) named_memory: bool,
    /// Whether it has the device of that name.
    pub(super) balloon: bool,
    /// Whether it reaches more than its fixtures.
    #[serde(default)]
    pub(super) outside: bool,
    pub(super) kernel_args: Vec<String>,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) first_card: CardNetwork,
    #[serde(default)]
    pub(super) cards: Vec<CardNetwork>,
    /// The words by which it is known, its own first.
    pub(super) words: Vec<String>,
    /// Where one was pinned for this boot.
    pub(super) host_key: Option<Vec<u8>>,
    pub(super) drives: Vec<SavedDrive>,
    #[serde(default)]
    pub(super) plugged: Plugged,
    /// Length of each file in bytes: one that was cut short is found before QEMU trips over it.
    pub(super) lengths: Vec<(String, u64)>,
    /// When, in seconds since 1970.
    pub(super) at: f64,
}

/// A kept machine. Nobody sweeps it meanwhile.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    about: About,
    _lock: Flock<File>,
}

impl Kept {
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

    pub(super) fn memory_is_named(&self) -> bool {
        self.about.named_memory
    }

    /// Its own word.
    pub(super) fn nonce(&self) -> String {
        self.about.words.first().cloned().unwrap_or_default()
    }

    pub(super) fn identity(&self) -> Identity {
        let about = &self.about;
        let direct = about.profile.boot == Boot::Kernel;
        Identity::of_kept(&about.words, direct, about.host_key.as_deref())
    }

    /// Layers above its disks.
    pub(super) fn drives(&self, folder: &PrivateFolder) -> Result<Vec<Drive>, MachineError> {
        disks::above(&self.folder, &self.about.drives, folder)
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

    fn spec(&self, kernel: &Path, initrd: Option<&Path>) -> Result<MachineSpec, MachineError> {
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
    async fn load(
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
        let layered = disks::reads_other_files(&folder.join(&drive.file));
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

/// Decompresses the state into the socket where QEMU waits for it.
fn feed(state: &Path, socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    match zstd::stream::copy_decode(File::open(state)?, &mut stream) {
        // QEMU gave up first: for what it was given, or for a reason of its own.
        Err(error) if hung_up(&error) => zstd::stream::copy_decode(File::open(state)?, io::sink()),
        fed => fed,
    }
}

fn hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

/// One release of QEMU reads what another patch level of it wrote.
fn same_release(one: &str, other: &str) -> bool {
    let release = |version: &str| {
        let numbers = version.split(['.', ' ']).take(2);
        numbers.map(str::to_owned).collect::<Vec<_>>()
    };
    release(one) == release(other)
}

impl Machine {
    /// Brings a kept machine back: a machine of its own that goes on where that one stood, on
    /// another port, or stands there still until it is told to `cont`. The kernel and initrd are
    /// those that a reboot of it boots.
    ///
    /// # Errors
    /// As for [`Machine::start`]; another QEMU kept it; what was kept is damaged.
    pub async fn enter(
        kept: &Kept,
        kernel: &Path,
        initrd: Option<&Path>,
        paused: bool,
        logs: &LogDir,
    ) -> Result<Self, MachineError> {
        let spec = kept.spec(kernel, initrd)?;
        let machine = Self::begin(spec, Begin::Kept(kept), logs).await?;
        machine
            .plug_again(&kept.about.plugged, &kept.folder)
            .await?;
        let qmp = &machine.now_qmp();
        let (fed, told) = kept.load(qmp, &machine.chassis.make.folder).await?;
        if let Err(error) = fed {
            let file = kept.folder.join(STATE);
            let why = format!("{} cannot be read: {error}", file.display());
            return Err(MachineError::Other(why));
        }
        // When QEMU did not take it, its last words say why.
        machine.guard(async { told }).await?;
        if !paused {
            qmp.execute("cont", Value::Null).await?;
        }
        Ok(machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_told_also_when_qemu_gives_up_first() {
        use std::os::unix::fs::FileExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (state, socket) = (folder.path().join(STATE), folder.path().join("socket"));
        let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut encoder = zstd::Encoder::new(File::create(&state).unwrap(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        io::copy(&mut content.as_slice(), &mut encoder).unwrap();
        encoder.finish().unwrap();
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let gives_up = std::thread::spawn(move || {
            for _ in 0..2 {
                drop(listener.accept());
            }
        });
        assert!(feed(&state, &socket).is_ok(), "that is QEMU's to explain");
        let file = File::options().write(true).open(&state).unwrap();
        let middle = file.metadata().unwrap().len() / 2;
        file.write_all_at(&[0x55; 4096], middle).unwrap();
        assert!(feed(&state, &socket).is_err());
        gives_up.join().unwrap();
    }

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
            Kept::open(&folder).err()
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
            Kept::open(folder.path()).unwrap_err()
        };
        assert!(why("{").contains("EOF"));
        assert!(why("{\"version\": 99}").contains("another version of the harness"));
        assert!(why("{\"version\": 1}").contains("missing field"));
        assert!(Kept::open(&folder.path().join("none")).is_err());
    }
}
