//! The private folder of a machine: overlays, config drive, sockets. It goes with the machine.
//!
//! All machines of a user live in one folder of mode 0700. Each holds a lock on a file of its own
//! folder; the lock ends with the process, however that ends, and so tells the folders of live
//! machines from those a killed harness left behind. Those are swept at the next start.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use tempfile::TempDir;

use crate::lock;

const LOCK: &str = "owner.lock";

/// A folder that is removed with this value.
pub struct PrivateFolder {
    // The folder goes before the lock does: a sweep never meets a half removed one.
    folder: TempDir,
    /// The folder itself, whatever it is called.
    open: File,
    _lock: Flock<File>,
}

impl PrivateFolder {
    /// Sweeps what dead machines left, and makes a new one.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written, or the place in it belongs to another user.
    pub fn new() -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir().join(format!("harness-{}", Uid::current())))
    }

    /// The same in another folder than that for temporary files: what is in it can be moved to
    /// where it is kept.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn new_in(parent: &Path) -> io::Result<Self> {
        make_own(parent)?;
        // One at a time: a new folder is not yet locked when it appears.
        let _gate = lock::take(&parent.join("gate.lock"), FlockArg::LockExclusive)?;
        sweep(parent);
        let folder = tempfile::Builder::new()
            .prefix("machine-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let lock = lock::take(&folder.path().join(LOCK), FlockArg::LockExclusive)?;
        let open = File::open(folder.path())?;
        Ok(Self {
            folder,
            open,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A file in it by another path, for this process and those that it starts, while this value lives:
    /// the path of a socket ends after 107 bytes (unix(7)), and nobody counts those of his folders.
    pub fn socket(&self, name: &str) -> String {
        let (process, open) = (std::process::id(), self.open.as_raw_fd());
        format!("/proc/{process}/fd/{open}/{name}")
    }
}

/// In a shared `/tmp` the name may have been taken by somebody else, or be a link to elsewhere.
pub fn make_own(parent: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(parent) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            let (kind, parent) = (error.kind(), parent.display());
            let hint = "hint: set TMPDIR to a folder that is there and can be written";
            return Err(io::Error::new(
                kind,
                format!("{parent} cannot be made: {error}; {hint}"),
            ));
        }
        Ok(()) => return Ok(()),
    }
    let found = parent.symlink_metadata()?;
    let ours = found.is_dir() && found.uid() == Uid::current().as_raw();
    match ours && found.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} is not a private folder of this user; hint: remove it",
                parent.display()
            ),
        )),
    }
}

/// Removes the folders whose owner is gone.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let folder = entry.path();
        let stale = folder.is_dir()
            && lock::take(&folder.join(LOCK), FlockArg::LockExclusiveNonblock).is_ok();
        if stale && let Err(error) = std::fs::remove_dir_all(&folder) {
            eprintln!(
                "warning: {} of a machine that is gone stays: {error}",
                folder.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_folders_stay_and_stale_ones_go() {
        let temp = tempfile::tempdir().unwrap();
        let parent = temp.path().join("harness-test");
        let live = PrivateFolder::new_in(&parent).unwrap();
        let stale = parent.join("machine-stale");
        std::fs::create_dir(&stale).unwrap();
        std::fs::write(stale.join("disk0.img"), "x").unwrap();
        let next = PrivateFolder::new_in(&parent).unwrap();
        assert!(live.path().exists() && next.path().exists() && !stale.exists());
        let gone = live.path().to_owned();
        drop(live);
        assert!(!gone.exists());
    }

    #[test]
    fn folder_that_cannot_be_made_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let missing = temp.path().join("missing").join("harness-test");
        let error = PrivateFolder::new_in(&missing).err().unwrap().to_string();
        assert!(
            error.contains("missing/harness-test") && error.contains("TMPDIR"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_open_to_others_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let parent = temp.path().join("harness-test");
        std::fs::create_dir(&parent).unwrap();
        std::fs::set_permissions(&parent, Permissions::from_mode(0o777)).unwrap();
        assert!(PrivateFolder::new_in(&parent).is_err());
    }

    #[test]
    fn a_socket_has_a_short_path_in_a_folder_with_a_long_one() {
        let parent = TempDir::new().unwrap();
        let long = parent.path().join("with spaces, and commas ".repeat(8));
        std::fs::create_dir(&long).unwrap();
        let folder = PrivateFolder::new_in(&long.join("machines")).unwrap();
        let socket = folder.socket("a.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(folder.file("a.sock").exists());
        // A program that this process starts finds it by the same path.
        let found = std::process::Command::new("test")
            .args(["-S", &socket])
            .status();
        assert!(found.unwrap().success());
    }
}
