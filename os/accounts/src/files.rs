//! Files and folders of accounts.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Result, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

/// A lock that is released when it is dropped.
pub(crate) type Lock = Flock<File>;

pub(crate) fn lock(path: &Path) -> std::result::Result<Lock, String> {
    let with_path = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| with_path(&error))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| with_path(&error))
}

/// Replaces a file: writes a new one in the same folder, syncs it and renames it.
pub(crate) fn replace(path: &Path, text: &str, mode: u32) -> Result<()> {
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(&new)?;
    // The umask may have masked the mode.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// Creates a home folder with a copy of `/etc/skel`. An existing folder is not changed.
pub(crate) fn create_home(root: &Path, home: &str, owner: (u32, u32)) -> Result<()> {
    let folder = root.join(home.trim_start_matches('/'));
    if folder.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    let skeleton = root.join("etc/skel");
    if skeleton.is_dir() {
        copy(&skeleton, &folder, owner)?;
    }
    std::fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
    // The owner is set last, so that an incomplete folder is recognizable.
    lchown(&folder, Some(owner.0), Some(owner.1))
}

fn copy(from: &Path, to: &Path, owner: (u32, u32)) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy(&source, &target, owner)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&source)?, &target)?;
        } else {
            std::fs::copy(&source, &target)?;
        }
        lchown(&target, Some(owner.0), Some(owner.1))?;
    }
    Ok(())
}
