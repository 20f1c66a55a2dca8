//! Writes the files of the configuration: atomically, synced, and readable by root only.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde_yaml::Value;

use crate::document::without_byte_order_mark;
use crate::{Document, FOLDER, GOOD_LAYER, USER_LAYER, check};

/// The name prefix of files that are being written.
const UNFINISHED: &str = ".unfinished-";

/// Writes a layer: atomically, synced, readable by root only.
///
/// # Errors
/// The folder cannot be written.
pub fn write_layer(path: &Path, layer: &Value) -> std::io::Result<()> {
    write(
        path,
        &serde_yaml::to_string(layer).map_err(std::io::Error::other)?,
    )
}

/// Writes a text like [`write_layer`].
///
/// # Errors
/// The folder cannot be written.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    write_with_mode(path, text, 0o600)
}

/// Writes a text like [`write_layer`], readable by all users.
///
/// # Errors
/// The folder cannot be written.
pub fn write_for_all(path: &Path, text: &str) -> std::io::Result<()> {
    write_with_mode(path, text, 0o644)
}

fn write_with_mode(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(here) if here.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => Path::new("/"),
    };
    std::fs::create_dir_all(folder)?;
    let mut file = unfinished(folder)?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(folder)?.sync_all()
}

/// A temporary file that is renamed when it is complete.
fn unfinished(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)
}

/// The user's document in its folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The user's document of this machine.
    pub fn machine() -> Self {
        Self::at(FOLDER.as_ref())
    }

    /// The user's document in a folder.
    pub fn at(folder: &Path) -> Self {
        let folder = folder.into();
        Self { folder }
    }

    /// The path of the document.
    pub fn path(&self) -> PathBuf {
        self.folder.join(USER_LAYER)
    }

    /// The document's text; empty if the file does not exist.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn text(&self) -> std::io::Result<String> {
        match std::fs::read_to_string(self.path()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map(without_byte_order_mark),
        }
    }

    /// Changes the text under an exclusive lock. Writes nothing if `change` fails or the text is the same.
    ///
    /// # Errors
    /// `change` fails, or a file cannot be read or written.
    pub fn change<E: From<std::io::Error>>(
        &self,
        change: impl FnOnce(&str) -> Result<String, E>,
    ) -> Result<(), E> {
        std::fs::create_dir_all(&self.folder)?;
        let folder = std::fs::File::open(&self.folder)?;
        let lock = Flock::lock(folder, FlockArg::LockExclusive);
        let _lock = lock.map_err(|(_, error)| std::io::Error::from(error))?;
        let old = self.text()?;
        let new = change(&old)?;
        if new != old {
            write(&self.path(), &new)?;
            self.save_last_good()?;
        }
        Ok(())
    }

    /// Removes incomplete files that a power cut left behind. No other process may write here meanwhile.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn remove_unfinished(&self) -> std::io::Result<()> {
        if !self.folder.is_dir() {
            return Ok(());
        }
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Saves a copy of the document if it is valid; see [`GOOD_LAYER`].
    ///
    /// # Errors
    /// The copy cannot be written.
    pub fn save_last_good(&self) -> std::io::Result<()> {
        let Ok(Some(document)) = Document::read(&self.path()) else {
            return Ok(());
        };
        let copy = self.folder.join(GOOD_LAYER);
        let known = std::fs::read_to_string(&copy).is_ok_and(|known| known == document.text);
        if known || !check(&document).is_empty() {
            return Ok(());
        }
        write(&copy, &document.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remove_unfinished_removes_files_that_a_power_cut_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        write(&store.path(), "hostname: z\n").unwrap();
        // The power is cut before the file is renamed.
        unfinished(folder.path()).unwrap().keep().unwrap();
        store.remove_unfinished().unwrap();
        let left = std::fs::read_dir(folder.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [USER_LAYER]);
        assert!(
            Store::at(&folder.path().join("none"))
                .remove_unfinished()
                .is_ok()
        );
    }

    #[test]
    fn change_writes_for_root_only_and_saves_a_copy_when_the_document_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("new"));
        let write = |text: &str| {
            store
                .change(|_| Ok::<_, std::io::Error>(text.into()))
                .unwrap()
        };
        let good = || std::fs::read_to_string(folder.path().join("new").join(GOOD_LAYER)).unwrap();
        write("hostname: z\n");
        assert_eq!(
            store.path().metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(good(), "hostname: z\n");
        write("hostname: [z]\n");
        assert_eq!(good(), "hostname: z\n");
    }

    #[test]
    fn change_writes_nothing_when_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let failed = store.change(|_| Err(std::io::Error::other("no")));
        assert!(failed.is_err() && !store.path().exists());
    }
}
