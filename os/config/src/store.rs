//! The files of the configuration: written atomically, synced, for root alone.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde_yaml::Value;

use crate::document::without_mark;
use crate::{Document, FOLDER, GOOD_LAYER, USER_LAYER, check};

/// What the names of files begin with that are not written to the end.
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

/// Writes a text in the same way.
///
/// # Errors
/// The folder cannot be written.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    write_with_mode(path, text, 0o600)
}

/// Writes a text that everybody may read in the same way.
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

/// A file that gets its name when all is in it.
fn unfinished(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)
}

/// The user's document, in its folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// That of this machine.
    pub fn machine() -> Self {
        Self::at(FOLDER.as_ref())
    }

    /// That of a folder.
    pub fn at(folder: &Path) -> Self {
        let folder = folder.into();
        Self { folder }
    }

    /// Where the document is.
    pub fn path(&self) -> PathBuf {
        self.folder.join(USER_LAYER)
    }

    /// The document's text, empty where there is none yet.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn text(&self) -> std::io::Result<String> {
        match std::fs::read_to_string(self.path()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map(without_mark),
        }
    }

    /// Changes the text, alone among those who want to; nothing is written where `change` fails or
    /// the text stays the same.
    ///
    /// # Errors
    /// Those of `change`, and files that cannot be read or written.
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
            self.remember_good()?;
        }
        Ok(())
    }

    /// Removes what a power cut left unfinished; before anybody else writes here.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn tidy(&self) -> std::io::Result<()> {
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

    /// Keeps a copy of the document if it is a good one, for the day when it is not.
    ///
    /// # Errors
    /// The copy cannot be written.
    pub fn remember_good(&self) -> std::io::Result<()> {
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
    fn what_was_never_written_to_the_end_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        write(&store.path(), "hostname: z\n").unwrap();
        // The power is cut before it has its name.
        unfinished(folder.path()).unwrap().keep().unwrap();
        store.tidy().unwrap();
        let left = std::fs::read_dir(folder.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [USER_LAYER]);
        assert!(Store::at(&folder.path().join("none")).tidy().is_ok());
    }

    #[test]
    fn what_is_written_is_for_root_alone_and_remembered_if_good() {
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
    fn nothing_is_written_where_the_change_fails() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let failed = store.change(|_| Err(std::io::Error::other("no")));
        assert!(failed.is_err() && !store.path().exists());
    }
}
