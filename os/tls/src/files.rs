//! Writes certificates to the files that Docker reads.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::Path;

use crate::{Error, Pair, Result};

/// The user and group ID of a file.
pub type Owner = (u32, u32);

/// The certificates of a client.
pub struct Client {
    /// The certificate of the CA.
    pub ca: String,
    /// The client's certificate and key.
    pub pair: Pair,
}

impl Client {
    /// Writes `ca.pem`, `cert.pem` and `key.pem`, the names that Docker clients expect.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path, owner: Owner) -> Result<()> {
        create_folder(folder, owner)?;
        write(&folder.join("ca.pem"), &self.ca, 0o644, owner)?;
        write(&folder.join("cert.pem"), &self.pair.cert, 0o644, owner)?;
        write(&folder.join("key.pem"), &self.pair.key, 0o600, owner)
    }
}

/// Writes `ca.pem`, `server-cert.pem` and `server-key.pem`.
pub(crate) fn write_server(folder: &Path, ca: &str, server: &Pair) -> Result<()> {
    let root = (0, 0);
    create_folder(folder, root)?;
    write(&folder.join("ca.pem"), ca, 0o600, root)?;
    write(&folder.join("server-cert.pem"), &server.cert, 0o600, root)?;
    write(&folder.join("server-key.pem"), &server.key, 0o600, root)
}

/// Creates a folder. An existing folder is not changed.
fn create_folder(folder: &Path, owner: Owner) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::set_permissions(folder, Permissions::from_mode(0o700)))
        .and_then(|()| std::os::unix::fs::chown(folder, Some(owner.0), Some(owner.1)))
        .map_err(at(folder))
}

/// Replaces a file atomically.
fn write(path: &Path, content: &str, mode: u32, owner: Owner) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let handle: &File = file.as_file();
        handle.set_permissions(Permissions::from_mode(mode))?;
        fchown(handle, Some(owner.0), Some(owner.1))?;
        file.write_all(content.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(at(path))
}

/// Adds a path to an error.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::File { path, source }
}
