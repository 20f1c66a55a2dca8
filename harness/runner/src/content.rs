//! Hashes of files that trials boot.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base::hash::Hash;

/// A file whose content is needed cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", file.display())]
pub struct Unreadable {
    /// The file.
    pub file: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// The hash of a file's content. Each file is hashed once per process, because all trials boot the same files.
pub(crate) fn hash(file: &Path) -> Result<String, Unreadable> {
    static KNOWN: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hash) = known.get(file) {
        return Ok(hash.clone());
    }
    let hash = Hash::default().file(file).map(Hash::finish);
    let hash = hash.map_err(|source| Unreadable {
        file: file.to_path_buf(),
        source,
    })?;
    known.insert(file.to_path_buf(), hash.clone());
    Ok(hash)
}
