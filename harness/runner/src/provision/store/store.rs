//! The folder of all checkpoints: finds a checkpoint by its key, or lets the caller create it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use base::lock;
use machine::KeyPair;

use super::super::key::CheckpointKey;
use super::folder::{Damage, begin, contents, finish, open, private, remove};
use super::saved::Saved;

/// Why the store cannot provide a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be read or written, or another process did not create the checkpoint in time.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The new checkpoint cannot be opened.
    #[error("the checkpoint is incomplete: {0}")]
    Incomplete(#[from] Damage),
}

/// The folder that holds all checkpoints.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    pub(super) folder: PathBuf,
    /// The reasons for missing checkpoints that were reported already.
    reported: Arc<Mutex<BTreeSet<String>>>,
}

/// A checkpoint in use. It cannot be removed while the lease is held.
pub(crate) struct CheckpointLease {
    /// The saved machines.
    pub(crate) saved: Saved,
    /// The key pair that they accept.
    pub(crate) keys: KeyPair,
    pub(super) _lock: Flock<File>,
}

/// The result of looking up a checkpoint.
enum Found {
    /// The checkpoint exists.
    Exists(CheckpointLease),
    /// This process must create it, and holds the exclusive lock.
    Missing(Flock<File>),
}

impl CheckpointStore {
    /// The store in a folder, which may not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        let reported = Arc::default();
        Self { folder, reported }
    }

    /// Whether this reason for a missing checkpoint is new, and records it.
    pub(crate) fn is_new_reason(&self, why: &str) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.insert(why.to_owned())
    }

    /// Returns the checkpoint with this key. If it does not exist, `make` creates it in the given folder and
    /// returns the key pair that the machine accepts. Other processes that want the same checkpoint wait for
    /// it until `timeout`.
    ///
    /// # Errors
    /// `make` fails, the folder cannot be written, or another process does not create it before the timeout.
    pub(crate) async fn get_or_create<E: From<StoreError>>(
        &self,
        key: &CheckpointKey,
        timeout: Duration,
        make: impl AsyncFnOnce(&Path) -> Result<KeyPair, E>,
    ) -> Result<CheckpointLease, E> {
        let name = key.name();
        let folder = self.folder.join(&name);
        let lock = match self.find(&name, timeout).await.map_err(StoreError::from)? {
            Found::Exists(lease) => return Ok(lease),
            Found::Missing(lock) => lock,
        };
        self.sweep(&name);
        begin(&folder, key).map_err(StoreError::from)?;
        let made = match make(&folder).await {
            Ok(keys) => finish(&folder, &keys).map_err(|error| StoreError::from(error).into()),
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            let _ = remove(&folder);
            return Err(error);
        }
        lock.relock(FlockArg::LockShared)
            .map_err(|errno| StoreError::Io(errno.into()))?;
        Ok(open(&folder, lock).map_err(StoreError::from)?)
    }

    /// Returns the checkpoint, or the exclusive lock for creating it, when no other process creates it.
    async fn find(&self, name: &str, timeout: Duration) -> io::Result<Found> {
        private(&self.folder)?;
        let file = self.lock_file(name);
        let look = || self.look(name);
        lock::wait("its checkpoint", &file, timeout, "is creating it", look).await
    }

    /// Looks once: returns the checkpoint, or the exclusive lock for creating it. The error `WouldBlock`
    /// means that another process holds the lock.
    fn look(&self, name: &str) -> io::Result<Found> {
        let (folder, file) = (self.folder.join(name), self.lock_file(name));
        let shared = lock::take(&file, FlockArg::LockSharedNonblock)?;
        if let Ok(lease) = open(&folder, shared) {
            return Ok(Found::Exists(lease));
        }
        let mut exclusive = lock::take(&file, FlockArg::LockExclusiveNonblock)?;
        if contents(&folder).is_ok() {
            // Another process created it between the two locks: the next look finds it.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        lock::sign(&mut exclusive)?;
        Ok(Found::Missing(exclusive))
    }

    pub(super) fn lock_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.lock"))
    }
}
