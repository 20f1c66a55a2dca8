//! Lists the existing checkpoints, checks them, and evicts old ones.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::fcntl::FlockArg;

use super::super::key::CheckpointKey;
use super::folder::{contents, read_key, remove};
use super::store::CheckpointStore;
use base::lock;
use host::disk_space;

/// Checkpoints that were not used for this long are evicted.
const OLDEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// The size limit of all checkpoints in bytes, or half of the available disk space if that is less. Above
/// it, the least recently used checkpoints are evicted.
const LARGEST: u64 = 12 << 30;

/// An existing checkpoint.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its key; `None` if the file cannot be read.
    pub key: Option<CheckpointKey>,
    /// When it was last used.
    pub used: SystemTime,
    /// Its size on disk.
    pub bytes: u64,
}

impl CheckpointStore {
    /// Whether a complete checkpoint with this key exists.
    pub fn has(&self, key: &CheckpointKey) -> bool {
        contents(&self.folder.join(key.name())).is_ok()
    }

    /// Why a checkpoint whose folder exists cannot be used.
    pub(super) fn damage(&self, name: &str) -> Option<String> {
        let file = self.lock_file(name);
        match lock::take(&file, FlockArg::LockSharedNonblock) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let who = lock::holder(&file).map(|pid| format!("pid {pid}"));
                let who = who.unwrap_or_else(|| "another process".into());
                Some(format!("{who} is creating it"))
            }
            _ => {
                let contents = contents(&self.folder.join(name));
                contents.err().map(|damage| damage.to_string())
            }
        }
    }

    /// Evicts checkpoints that are old, incomplete or above the size limit, except `keep` and those in use.
    pub(super) fn sweep(&self, keep: &str) {
        let mut found = self.list();
        found.sort_by_key(|one| std::cmp::Reverse(one.used));
        let taken = found.iter().map(|one| one.bytes).sum();
        let largest = largest(taken, disk_space::free(&self.folder));
        let mut total = 0;
        for one in found {
            total += one.bytes;
            let old = one.used.elapsed().is_ok_and(|age| age > OLDEST);
            // No trial can use a partial checkpoint of a killed process, or one without a readable key.
            let folder = self.folder.join(&one.name);
            let old = old || one.key.is_none() || contents(&folder).is_err();
            if one.name != keep && (old || total > largest) {
                self.remove(&one.name);
            }
        }
    }

    /// Lists the existing checkpoints.
    pub fn list(&self) -> Vec<Listed> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let named = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let used = self.lock_file(&name).metadata().ok()?.modified().ok()?;
            let bytes = on_disk(&entry.path());
            let key = read_key(&entry.path());
            Some(Listed {
                name,
                key,
                used,
                bytes,
            })
        });
        named.collect()
    }

    /// Removes a checkpoint unless it is in use. Returns whether it was removed.
    pub fn remove(&self, name: &str) -> bool {
        let free = lock::take(&self.lock_file(name), FlockArg::LockExclusiveNonblock);
        free.is_ok_and(|_free| remove(&self.folder.join(name)).is_ok())
    }
}

fn largest(taken: u64, free: Option<u64>) -> u64 {
    free.map_or(LARGEST, |free| LARGEST.min((taken + free) / 2))
}

/// The disk usage of a folder. Its files are sparse, so their lengths do not count.
fn on_disk(folder: &Path) -> u64 {
    /// The unit of `st_blocks`, see stat(2).
    const BLOCK: u64 = 512;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let about = entry.metadata().ok()?;
        let below = if about.is_dir() {
            on_disk(&entry.path())
        } else {
            0
        };
        Some(about.blocks() * BLOCK + below)
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_limit_is_half_of_the_disk_space_at_most() {
        assert_eq!(largest(1 << 30, None), LARGEST);
        assert_eq!(largest(1 << 30, Some(3 << 30)), 2 << 30);
        assert_eq!(largest(LARGEST, Some(3 * LARGEST)), LARGEST);
    }
}
