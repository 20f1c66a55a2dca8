//! The checkpoints that are there: which they are, how it stands with each, and which of them go.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::fcntl::FlockArg;

use super::folder::{contents, read_recipe, remove};
use super::{Recipe, Store};
use base::lock;
use host::disk_space;

/// A checkpoint that nobody used for so long goes.
const OLDEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Above this many bytes on disk, or half of what there is room for, those that were not used for
/// longest go.
const LARGEST: u64 = 12 << 30;

/// A checkpoint that is there.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it was made from; none where that cannot be read.
    pub recipe: Option<Recipe>,
    /// When it was last used.
    pub used: SystemTime,
    /// What it takes on disk.
    pub bytes: u64,
}

impl Store {
    /// Whether the checkpoint of a recipe is there.
    pub fn has(&self, recipe: &Recipe) -> bool {
        contents(&self.folder.join(recipe.name())).is_ok()
    }

    /// Why one that has a folder is not used.
    pub(super) fn damage(&self, name: &str) -> Option<String> {
        let file = self.lock_file(name);
        match lock::take(&file, FlockArg::LockSharedNonblock) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let who = lock::holder(&file).map(|pid| format!("pid {pid}"));
                let who = who.unwrap_or_else(|| "another process".into());
                Some(format!("{who} makes it now"))
            }
            _ => contents(&self.folder.join(name)).err(),
        }
    }

    /// Makes room for another one: removes what is old or too much, but for `keep` and what is in use.
    pub(super) fn sweep(&self, keep: &str) {
        let mut found = self.list();
        found.sort_by_key(|one| std::cmp::Reverse(one.used));
        let taken = found.iter().map(|one| one.bytes).sum();
        let largest = largest(taken, disk_space::free(&self.folder));
        let mut total = 0;
        for one in found {
            total += one.bytes;
            let old = one.used.elapsed().is_ok_and(|age| age > OLDEST);
            // Nobody goes on from what a maker that was killed left, nor can want one that does not
            // say what it was made of.
            let folder = self.folder.join(&one.name);
            let old = old || one.recipe.is_none() || contents(&folder).is_err();
            if one.name != keep && (old || total > largest) {
                self.remove(&one.name);
            }
        }
    }

    /// Those that are there.
    pub fn list(&self) -> Vec<Listed> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let named = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let used = self.lock_file(&name).metadata().ok()?.modified().ok()?;
            let bytes = on_disk(&entry.path());
            let recipe = read_recipe(&entry.path());
            Some(Listed {
                name,
                recipe,
                used,
                bytes,
            })
        });
        named.collect()
    }

    /// Removes one, unless it is in use.
    pub fn remove(&self, name: &str) -> bool {
        let free = lock::take(&self.lock_file(name), FlockArg::LockExclusiveNonblock);
        free.is_ok_and(|_free| remove(&self.folder.join(name)).is_ok())
    }
}

fn largest(taken: u64, free: Option<u64>) -> u64 {
    free.map_or(LARGEST, |free| LARGEST.min((taken + free) / 2))
}

/// What a folder's files take, which are sparse.
fn on_disk(folder: &Path) -> u64 {
    /// Of `st_blocks`, see stat(2).
    const BLOCK: u64 = 512;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| Some(entry.metadata().ok()?.blocks() * BLOCK));
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_take_half_of_the_room_at_most() {
        assert_eq!(largest(1 << 30, None), LARGEST);
        assert_eq!(largest(1 << 30, Some(3 << 30)), 2 << 30);
        assert_eq!(largest(LARGEST, Some(3 * LARGEST)), LARGEST);
    }
}
