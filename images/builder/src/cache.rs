//! Keeping the results of steps: keyed by content, written whole or not at all.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::{BuildError, Context, Result};

/// Collects what a result depends on.
pub struct Key(Sha256);

impl Key {
    /// A key for results of one kind; `version` changes when the code that makes them does.
    pub fn new(kind: &str, version: u32) -> Self {
        let mut key = Self(Sha256::new());
        key.add(kind).add(version.to_le_bytes());
        key
    }

    /// Adds one value; its length goes in too, so that neighbours cannot run together.
    pub fn add(&mut self, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        self.0.update((value.len() as u64).to_le_bytes());
        self.0.update(value);
        self
    }

    /// Adds a file's content.
    pub fn add_file(&mut self, path: &Path) -> Result<&mut Self> {
        let content = std::fs::read(path).context(|| format!("read {}", path.display()))?;
        Ok(self.add(content))
    }

    /// Adds every file below a folder: its path and content.
    pub fn add_folder(&mut self, folder: &Path) -> Result<&mut Self> {
        for path in files_below(folder)? {
            self.add(path.to_string_lossy().as_bytes());
            self.add_file(&folder.join(&path))?;
        }
        Ok(self)
    }

    /// The key as a short hexadecimal word.
    pub fn finish(self) -> String {
        hex(&self.0.finalize()[..12])
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of what a reader gives, in hexadecimal.
pub fn sha256(mut reader: impl Read) -> std::io::Result<String> {
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
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
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

/// What the names of half-made files and folders begin with; the default of crate `tempfile`.
pub const HALF_MADE: &str = ".tmp";

/// Holds the workspace's build lock until dropped.
pub fn lock(cache: &Path) -> Result<Flock<File>> {
    let step = || format!("lock {}", cache.display());
    std::fs::create_dir_all(cache).context(step)?;
    let file = File::create(cache.join("lock")).context(step)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| BuildError::new(step(), errno))
}

/// Writes `path` through a temporary file in the same folder, synced and renamed.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
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

/// Removes the entries of `folder` whose name begins with `prefix`, but for `keep`.
pub fn sweep(folder: &Path, prefix: &str, keep: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path != keep && entry.file_name().to_string_lossy().starts_with(prefix) {
            // What cannot be removed costs disk space, nothing else.
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
        }
    }
}
