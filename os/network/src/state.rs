//! What is known of the networks, in memory of the machine: a file for each interface's lease, and one
//! for what routers advertise there. Several processes write it, one at a time.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Result, Write as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::advertised::Advertised;
use super::lease::Lease;

/// The folder.
pub const FOLDER: &str = "/run/network";

/// The name that DHCP has for the machine, where the configuration has none. The supervisor reads it.
pub const HOSTNAME: &str = "hostname";

/// The state in a folder, which nobody else changes meanwhile.
pub struct State {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl State {
    /// That of the machine, when nobody else has it.
    pub fn lock() -> Result<Self> {
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
    pub fn lease(&self, interface: &str) -> Option<Lease> {
        Lease::read_kept(&read(&self.folder.join(LEASES).join(interface)))
    }

    /// Keeps the lease of an interface, or takes it away.
    pub fn set_lease(&self, interface: &str, lease: Option<&Lease>) -> Result<()> {
        let path = self.folder.join(LEASES).join(interface);
        set(&path, lease.map(Lease::variables))
    }

    /// What routers advertise on an interface.
    pub fn advertised(&self, interface: &str) -> Advertised {
        Advertised::read(&read(&self.folder.join(ADVERTISED).join(interface)))
    }

    /// Keeps what routers advertise on an interface.
    pub fn set_advertised(&self, interface: &str, advertised: &Advertised) -> Result<()> {
        let path = self.folder.join(ADVERTISED).join(interface);
        set(&path, Some(advertised.variables()))
    }

    /// The interfaces of which something is known.
    pub fn interfaces(&self) -> Vec<String> {
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

    /// Forgets all that is known of an interface.
    pub fn forget(&self, interface: &str) {
        for kind in [LEASES, ADVERTISED] {
            let _ = std::fs::remove_file(self.folder.join(kind).join(interface));
        }
    }

    /// Says which name DHCP has for the machine, if that has changed.
    pub fn set_hostname(&self, name: Option<&str>) -> Result<()> {
        let path = self.folder.join(HOSTNAME);
        match name {
            Some(name) => replace(&path, &format!("{name}\n")),
            None => absent(std::fs::remove_file(path)),
        }
    }
}

const LEASES: &str = "leases";
const ADVERTISED: &str = "advertised";

/// Seconds since the kernel began.
pub fn now() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split('.').next().and_then(|text| text.parse().ok());
    seconds.unwrap_or(0)
}

/// Puts a text into a file that others have mounted: it stays the same file, and is never empty
/// meanwhile, as whoever starts a container then would find no name server in it.
pub fn overwrite(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|has| has == text) {
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

/// Lines of `NAME=VALUE`.
fn read(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn set(path: &Path, variables: Option<BTreeMap<String, String>>) -> Result<()> {
    let Some(variables) = variables else {
        return absent(std::fs::remove_file(path));
    };
    let lines = variables.iter();
    let text: String = lines
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    replace(path, &text)
}

fn replace(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|has| has == text) {
        return Ok(());
    }
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(new, path)
}

fn absent(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_kept_until_it_is_taken_away() {
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
    fn a_file_that_is_mounted_elsewhere_stays_the_same_file() {
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
