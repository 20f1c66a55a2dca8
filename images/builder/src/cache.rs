//! Caches the results of steps, with keys by content and atomic writes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::{BuildError, Context, Result};

/// A cache key: the hash of all inputs of a result.
pub(crate) struct Key(Sha256);

impl Key {
    /// A key for results of one kind. `version` must change when the code that produces them changes.
    pub(crate) fn new(kind: &str, version: u32) -> Self {
        let mut key = Self(Sha256::new());
        key.add(kind).add(version.to_le_bytes());
        key
    }

    /// Adds a value and its length, so that adjacent values cannot be confused.
    pub(crate) fn add(&mut self, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        self.0.update((value.len() as u64).to_le_bytes());
        self.0.update(value);
        self
    }

    /// Adds a file's content.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<&mut Self> {
        let content = std::fs::read(path).context(|| format!("read {}", path.display()))?;
        Ok(self.add(content))
    }

    /// Adds the path and the content of every file below a folder.
    pub(crate) fn add_folder(&mut self, folder: &Path) -> Result<&mut Self> {
        for path in files_below(folder)? {
            self.add(path.to_string_lossy().as_bytes());
            self.add_file(&folder.join(&path))?;
        }
        Ok(self)
    }

    /// The key in hexadecimal, shortened to 12 bytes.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize()[..12])
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of the data of a reader, in hexadecimal.
pub(crate) fn sha256(mut reader: impl Read) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Relative paths of all files below a folder, sorted.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let path = folder.join(&relative);
        let entries = std::fs::read_dir(&path).context(|| format!("read {}", path.display()))?;
        for entry in entries {
            let entry = entry.context(|| format!("read {}", path.display()))?;
            let inner = relative.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(inner),
                _ => found.push(inner),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The name prefix of incomplete files and folders; the default of the crate `tempfile`.
pub(crate) const INCOMPLETE: &str = ".tmp";

/// Takes the build lock of the workspace; it is released when the result is dropped.
pub(crate) fn lock(cache: &Path) -> Result<Flock<File>> {
    let step = || format!("lock {}", cache.display());
    std::fs::create_dir_all(cache).context(step)?;
    let file = File::create(cache.join("lock")).context(step)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| BuildError::new(step(), errno))
}

/// Writes a file atomically: writes a temporary file in the same folder, syncs it and renames it.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    let step = || format!("write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).context(step)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).context(step)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all().context(step)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).context(step)?;
    file.persist(path).context(step)?;
    Ok(())
}

/// Removes the entries of `folder` whose names begin with `prefix`, except for `keep`.
pub(crate) fn remove_others(folder: &Path, prefix: &str, keep: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path != keep && entry.file_name().to_string_lossy().starts_with(prefix) {
            // An entry that cannot be removed only costs disk space.
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
        }
    }
}
