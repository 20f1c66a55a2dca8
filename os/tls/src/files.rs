//! Writes certificates to the files that Docker and etcd read.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::{Error, Pair, Result};

/// The file with the certificate of a CA.
pub(crate) const CA: &str = "ca.pem";

/// The file with the key of a CA.
pub(crate) const CA_KEY: &str = "ca-key.pem";

/// The user and group ID of a file.
pub type Owner = (u32, u32);

/// A certificate with its key, and the certificate of its CA.
pub struct Bundle {
    /// The certificate of the CA.
    pub ca: String,
    /// The certificate and its key.
    pub pair: Pair,
}

impl Bundle {
    /// Writes `ca.pem`, `cert.pem` and `key.pem`, the names that Docker clients expect. Only the owner can
    /// read the key.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path, owner: Owner) -> Result<()> {
        create_folder(folder, owner)?;
        write(&folder.join(CA), &self.ca, 0o644, owner)?;
        write(&folder.join("cert.pem"), &self.pair.cert, 0o644, owner)?;
        write(&folder.join("key.pem"), &self.pair.key, 0o600, owner)
    }
}

/// Writes `ca.pem`, `server-cert.pem` and `server-key.pem`.
pub(crate) fn write_server(folder: &Path, ca: &str, server: &Pair) -> Result<()> {
    let root = (0, 0);
    create_folder(folder, root)?;
    write(&folder.join(CA), ca, 0o600, root)?;
    write(&folder.join("server-cert.pem"), &server.cert, 0o600, root)?;
    write(&folder.join("server-key.pem"), &server.key, 0o600, root)
}

/// Writes a CA: `ca-key.pem`, which only the owner can read, and then `ca.pem`.
pub(crate) fn write_authority(folder: &Path, authority: &Pair, owner: Owner) -> Result<()> {
    create_folder(folder, owner)?;
    write(&folder.join(CA_KEY), &authority.key, 0o600, owner)?;
    write(&folder.join(CA), &authority.cert, 0o644, owner)
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

/// Locks a file, which is created with its folder: two programs may generate certificates at the same time.
pub(crate) fn lock(path: &Path) -> Result<Flock<File>> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let file = std::fs::create_dir_all(folder)
        .and_then(|()| options.open(path))
        .map_err(at(path))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| at(path)(error.into()))
}

/// Adds a path to an error.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::File { path, source }
}
