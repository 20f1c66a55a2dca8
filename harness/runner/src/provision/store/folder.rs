//! The folder of one checkpoint: created by `begin`, completed by `finish`, read by `contents`.

use std::fs::{DirBuilder, File, FileTimes};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::Flock;

use super::super::key::CheckpointKey;
use super::saved::Saved;
use super::store::CheckpointLease;
use super::written;
use base::files;
use machine::{KeyPair, SnapshotError};

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The saved machine is incomplete.
    #[error(transparent)]
    Machine(#[from] SnapshotError),
    /// The key pair cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its files may lack their content.
    #[error("{} was not synced to disk before the host rebooted", folder.display())]
    NotSynced {
        /// Its folder.
        folder: PathBuf,
    },
}

/// The private key that the machine accepts; only its owner can read the file.
pub(super) const KEY: &str = "login-key";
/// The checkpoint's key, for `harness checkpoints --explain`.
const KEY_FILE: &str = "recipe.json";

pub(super) fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Removes a checkpoint. The sync threads (see [`written`]) may still have it open: they create no file
/// meanwhile, and cannot create one in a removed folder.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let _lock = written::lock(File::open(folder)?)?;
    std::fs::remove_dir_all(folder)
}

pub(super) fn begin(folder: &Path, key: &CheckpointKey) -> io::Result<()> {
    // A killed process may have left a partial checkpoint.
    match remove(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => private(folder)?,
    }
    let text = serde_json::to_string_pretty(key)?;
    std::fs::write(folder.join(KEY_FILE), format!("{text}\n"))
}

/// Completes the checkpoint. The private key is written last: a folder without it is incomplete.
pub(super) fn finish(folder: &Path, keys: &KeyPair) -> io::Result<()> {
    std::fs::write(folder.join(format!("{KEY}.pub")), &keys.public)?;
    written::sign(folder)?;
    files::replace(&folder.join(KEY), files::PRIVATE, keys.private.as_bytes())
}

pub(super) fn read_key(folder: &Path) -> Option<CheckpointKey> {
    serde_json::from_slice(&std::fs::read(folder.join(KEY_FILE)).ok()?).ok()
}

/// Reads a checkpoint folder.
///
/// # Errors
/// Why the folder is incomplete.
pub(super) fn contents(folder: &Path) -> Result<(Saved, KeyPair), Damage> {
    let machines = read_key(folder).map(|key| key.machines);
    let saved = Saved::open(folder, &machines.unwrap_or_default())?;
    let read = |name: &str| {
        let file = folder.join(name);
        std::fs::read_to_string(&file).map_err(|source| Damage::Unreadable { file, source })
    };
    let keys = KeyPair {
        private: read(KEY)?,
        public: read(&format!("{KEY}.pub"))?,
    };
    if !written::is_whole(folder) {
        let folder = folder.to_owned();
        return Err(Damage::NotSynced { folder });
    }
    Ok((saved, keys))
}

/// Opens a checkpoint and records the time of use.
pub(super) fn open(folder: &Path, lock: Flock<File>) -> Result<CheckpointLease, Damage> {
    let (saved, keys) = contents(folder)?;
    written::write_out(folder);
    // If this fails, only the age of the checkpoint is wrong.
    let _ = lock.set_times(FileTimes::new().set_modified(SystemTime::now()));
    Ok(CheckpointLease {
        saved,
        keys,
        _lock: lock,
    })
}
