//! The private folder of a machine: overlays, config drive, sockets. It is removed with the machine.
//!
//! The folders of all machines of a user are in one folder of mode 0700. Each machine holds a lock on a
//! file in its own folder. The kernel releases the lock when the process ends for any reason, so an
//! unlocked folder belongs to a dead machine. The next start removes these folders.

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

/// A folder that is removed when this value is dropped.
pub struct PrivateFolder {
    // Dropped before the lock: a sweep never finds a partly removed folder.
    folder: TempDir,
    /// The open folder, which does not depend on its path.
    open: File,
    _lock: Flock<File>,
}

impl PrivateFolder {
    /// Removes the folders of dead machines, and creates a new one.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written, or the path in it belongs to another user.
    pub fn new() -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir().join(format!("harness-{}", Uid::current())))
    }

    /// Creates the folder below `parent`. Use it if files must be moved to another place on the same file
    /// system.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn new_in(parent: &Path) -> io::Result<Self> {
        make_own(parent)?;
        // One process at a time: a new folder is not locked yet when it is created.
        let _lock = lock::take(&parent.join("gate.lock"), FlockArg::LockExclusive)?;
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

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A short path of a file in the folder, valid for this process and its children while this value
    /// exists: the path of a socket has at most 107 bytes (unix(7)), and the folder's path can be longer.
    pub fn socket(&self, name: &str) -> String {
        let (process, open) = (std::process::id(), self.open.as_raw_fd());
        format!("/proc/{process}/fd/{open}/{name}")
    }
}

/// Creates a private folder, or checks an existing one: in a shared `/tmp`, another user can create a
/// folder or a link with this name.
pub fn make_own(parent: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(parent) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            let (kind, parent) = (error.kind(), parent.display());
            let hint = "hint: set TMPDIR to an existing, writable folder";
            return Err(io::Error::new(
                kind,
                format!("cannot create {parent}: {error}; {hint}"),
            ));
        }
        Ok(()) => return Ok(()),
    }
    let found = parent.symlink_metadata()?;
    let ours = found.is_dir() && found.uid() == Uid::current().as_raw();
    if ours && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} is not a private folder of this user; hint: remove it",
            parent.display()
        ),
    ))
}

/// Removes the folders of machines whose process ended.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let folder = entry.path();
        let stale = folder.is_dir()
            && lock::take(&folder.join(LOCK), FlockArg::LockExclusiveNonblock).is_ok();
        if stale && let Err(error) = std::fs::remove_dir_all(&folder) {
            log::warn!(
                "cannot remove {} of a dead machine: {error}",
                folder.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_folder_removes_those_of_dead_machines_only() {
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
    fn error_names_the_folder_when_it_cannot_be_created() {
        let temp = tempfile::tempdir().unwrap();
        let missing = temp.path().join("missing").join("harness-test");
        let error = PrivateFolder::new_in(&missing).err().unwrap().to_string();
        assert!(
            error.contains("missing/harness-test") && error.contains("TMPDIR"),
            "{error}"
        );
    }

    #[test]
    fn folder_is_refused_when_others_have_access() {
        let temp = tempfile::tempdir().unwrap();
        let parent = temp.path().join("harness-test");
        std::fs::create_dir(&parent).unwrap();
        std::fs::set_permissions(&parent, Permissions::from_mode(0o777)).unwrap();
        assert!(PrivateFolder::new_in(&parent).is_err());
    }

    #[test]
    fn socket_path_is_short_when_the_path_of_the_folder_is_long() {
        let parent = TempDir::new().unwrap();
        let long = parent.path().join("with spaces, and commas ".repeat(8));
        std::fs::create_dir(&long).unwrap();
        let folder = PrivateFolder::new_in(&long.join("machines")).unwrap();
        let socket = folder.socket("a.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(folder.file("a.sock").exists());
        // The path is valid for child processes as well.
        let found = std::process::Command::new("test")
            .args(["-S", &socket])
            .status();
        assert!(found.unwrap().success());
    }
}
