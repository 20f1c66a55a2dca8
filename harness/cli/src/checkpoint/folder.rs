//! The folder of one checkpoint: how it is begun and finished, and what is in it.

use std::fs::{DirBuilder, File, FileTimes};
use std::io::{self};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::SystemTime;

use nix::fcntl::Flock;

use super::{Held, Recipe, written};
use base::files;
use machine::{KeyPair, Saved};

/// Who is let in to the machine; readable by its owner alone.
pub(super) const KEY: &str = "login-key";
/// What it was made from, for people who wonder why it is not used.
const RECIPE: &str = "recipe.json";

pub(super) fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Takes one away. Just then its mark may be set (see [`written`]): once, for in a folder that is gone
/// nothing is made.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            std::fs::remove_dir_all(folder)
        }
        done => done,
    }
}

pub(super) fn begin(folder: &Path, recipe: &Recipe) -> io::Result<()> {
    // What a maker that was killed left.
    match remove(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => private(folder)?,
    }
    let text = serde_json::to_string_pretty(recipe)?;
    std::fs::write(folder.join(RECIPE), format!("{text}\n"))
}

/// The last file makes it whole.
pub(super) fn finish(folder: &Path, keys: &KeyPair) -> io::Result<()> {
    std::fs::write(folder.join(format!("{KEY}.pub")), &keys.public)?;
    written::sign(folder)?;
    files::replace(&folder.join(KEY), files::PRIVATE, keys.private.as_bytes())
}

pub(super) fn read_recipe(folder: &Path) -> Option<Recipe> {
    serde_json::from_slice(&std::fs::read(folder.join(RECIPE)).ok()?).ok()
}

/// What is in a folder; or why that is not whole.
pub(super) fn contents(folder: &Path) -> Result<(Saved, KeyPair), String> {
    let saved = Saved::open(folder)?;
    let read = |name: &str| {
        let file = folder.join(name);
        std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
    };
    let keys = KeyPair {
        private: read(KEY)?,
        public: read(&format!("{KEY}.pub"))?,
    };
    written::check(folder)?;
    Ok((saved, keys))
}

/// What is in a folder, which counts as used now.
pub(super) fn open(folder: &Path, lock: Flock<File>) -> Result<Held, String> {
    let (saved, keys) = contents(folder)?;
    written::write_out(folder);
    // Only its age suffers when this cannot be written.
    let _ = lock.set_times(FileTimes::new().set_modified(SystemTime::now()));
    Ok(Held {
        saved,
        keys,
        _lock: lock,
    })
}
