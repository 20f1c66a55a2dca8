//! The state of the networks, in memory: for each interface a file with its lease and a file with the
//! router advertisements. Processes that change it hold a lock.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Result, Write as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::advertised::Advertised;
use super::lease::Lease;

/// The folder with the state.
pub(crate) const FOLDER: &str = "/run/network";

/// The file with the host name from DHCP, if the configuration sets none. The supervisor reads it.
const HOSTNAME: &str = "hostname";

/// The locked state.
pub(crate) struct State {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl State {
    /// Locks the state of the machine.
    pub(crate) fn lock() -> Result<Self> {
        Self::lock_in(FOLDER.as_ref())
    }

    fn lock_in(folder: &Path) -> Result<Self> {
        for kind in [LEASES, ADVERTISED] {
            std::fs::create_dir_all(folder.join(kind))?;
        }
        let file = File::create(folder.join("lock"))?;
        let lock = Flock::lock(file, FlockArg::LockExclusive);
        Ok(Self {
            folder: folder.into(),
            _lock: lock.map_err(|(_, error)| error)?,
        })
    }

    /// The lease of an interface.
    pub(crate) fn lease(&self, interface: &str) -> Option<Lease> {
        Lease::read_saved(&read(&self.folder.join(LEASES).join(interface)))
    }

    /// Saves the lease of an interface, or removes it.
    pub(crate) fn set_lease(&self, interface: &str, lease: Option<&Lease>) -> Result<()> {
        let path = self.folder.join(LEASES).join(interface);
        set(&path, lease.map(Lease::variables))
    }

    /// The router advertisements of an interface.
    pub(crate) fn advertised(&self, interface: &str) -> Advertised {
        Advertised::read(&read(&self.folder.join(ADVERTISED).join(interface)))
    }

    /// Saves the router advertisements of an interface.
    pub(crate) fn set_advertised(&self, interface: &str, advertised: &Advertised) -> Result<()> {
        let path = self.folder.join(ADVERTISED).join(interface);
        set(&path, Some(advertised.variables()))
    }

    /// The interfaces that have a lease or router advertisements.
    pub(crate) fn interfaces(&self) -> Vec<String> {
        let folders = [LEASES, ADVERTISED].map(|kind| self.folder.join(kind));
        let entries = folders.iter().filter_map(|folder| folder.read_dir().ok());
        let names = entries.flatten().flatten();
        let mut all: Vec<_> = names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// Removes the state of an interface.
    pub(crate) fn forget(&self, interface: &str) {
        for kind in [LEASES, ADVERTISED] {
            let _ = std::fs::remove_file(self.folder.join(kind).join(interface));
        }
    }

    /// Saves the host name from DHCP, if it has changed.
    pub(crate) fn set_hostname(&self, name: Option<&str>) -> Result<()> {
        let path = self.folder.join(HOSTNAME);
        match name {
            Some(name) => replace(&path, &format!("{name}\n")),
            None => ignore_missing(std::fs::remove_file(path)),
        }
    }
}

const LEASES: &str = "leases";
const ADVERTISED: &str = "advertised";

/// Seconds since the kernel started.
pub(crate) fn now() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split('.').next().and_then(|text| text.parse().ok());
    seconds.unwrap_or(0)
}

/// Overwrites a file that is mounted in containers. The inode stays the same, and the file is never empty
/// in between, because a container that starts at that moment would have no name servers.
pub(crate) fn overwrite(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// Reads a file with lines `NAME=VALUE`.
fn read(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn set(path: &Path, variables: Option<BTreeMap<String, String>>) -> Result<()> {
    let Some(variables) = variables else {
        return ignore_missing(std::fs::remove_file(path));
    };
    let lines = variables.iter();
    let text: String = lines
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    replace(path, &text)
}

fn replace(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(new, path)
}

fn ignore_missing(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_is_saved_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::lock_in(folder.path()).unwrap();
        let variables = [("ip".to_owned(), "10.0.4.15".to_owned())].into();
        let lease = Lease::read(&variables, 7).unwrap();
        state.set_lease("eth1", Some(&lease)).unwrap();
        assert_eq!(state.lease("eth1"), Some(lease));
        assert_eq!(state.interfaces(), ["eth1"]);
        state.set_lease("eth1", None).unwrap();
        state.set_lease("eth1", None).unwrap();
        assert_eq!(state.lease("eth1"), None);
    }

    #[test]
    fn overwrite_preserves_the_inode() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        overwrite(&path, "a longer text\n").unwrap();
        let inode = path.metadata().unwrap().ino();
        overwrite(&path, "short\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short\n");
        assert_eq!(path.metadata().unwrap().ino(), inode);
    }
}
