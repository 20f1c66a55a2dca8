//! The folder of the interactive machine: its disk, its lock, and who holds that.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::boot::power_off_limit;
use super::other;
use crate::trial::write_key;
use base::lock;
use machine::{Blank, MachineError};

/// Size of the state disk; the file is sparse.
const STATE_MIB: u64 = 8 * 1024;
const STATE_LABEL: &str = "RANCHER_STATE";

/// The folder, whether a machine runs or not.
pub(super) struct StateFolder {
    folder: PathBuf,
}

/// A machine that runs, in the lock file of its owner.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Running {
    /// The owner, not QEMU.
    pub(super) pid: i32,
    /// The port for SSH, once QEMU is there.
    pub(super) port: Option<u16>,
    /// Within so many seconds of a signal it has ended the machine: by its own measure of this
    /// host, which another process may find to be faster.
    pub(super) ends_within: u64,
}

/// The right to run a machine on the folder; ends with the process.
pub(super) struct Claim {
    file: Flock<File>,
}

impl StateFolder {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn lock_file(&self) -> PathBuf {
        self.file("lock")
    }

    /// Takes the folder for a machine of this process.
    pub(super) fn claim(&self) -> Result<Claim, MachineError> {
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700)))
            .map_err(|e| self.unusable(&e))?;
        match lock::take(&self.lock_file(), FlockArg::LockExclusiveNonblock) {
            Ok(file) => {
                // Of a machine that is gone.
                let _ = fs::remove_file(self.login_key());
                let claim = Claim { file };
                claim.tell(None).map_err(|e| self.unusable(&e))?;
                Ok(claim)
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(self.taken()),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    /// The private key that the machine lets in, where it lets in none of the user's own.
    pub(super) fn login_key(&self) -> PathBuf {
        self.file("login-key")
    }

    /// Leaves the private key that the machine lets in, for its owner alone.
    pub(super) fn let_in(&self, key: &str) -> Result<PathBuf, MachineError> {
        let file = self.login_key();
        write_key(&file, key).map_err(|e| self.unusable(&e))?;
        Ok(file)
    }

    fn taken(&self) -> MachineError {
        let who = match self.running() {
            Ok(Some(Running {
                pid,
                port: Some(port),
                ..
            })) => format!(" (pid {pid}, port {port})"),
            Ok(Some(Running { pid, .. })) => format!(" (pid {pid})"),
            _ => String::new(),
        };
        other(format!(
            "a machine is already running{who}; `harness stop` ends it, `harness ssh` enters it"
        ))
    }

    fn unusable(&self, error: &std::io::Error) -> MachineError {
        other(format!("{}: {error}", self.folder.display()))
    }

    /// The machine that runs; a lock that can be had means that none does.
    pub(super) fn running(&self) -> Result<Option<Running>, MachineError> {
        let mut file = match File::open(self.lock_file()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|e| self.unusable(&e))?,
        };
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|e| self.unusable(&e))?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(None),
            Err(_) => Ok(serde_json::from_str(&text).ok()),
        }
    }

    /// The state disk, made when there is none or a fresh one is wanted.
    pub(super) fn disk(&self, fresh: bool) -> Result<PathBuf, MachineError> {
        let disk = self.file("state.img");
        if disk.exists() && !fresh {
            return Ok(disk);
        }
        // Whole or not at all: one that is half formatted must not be taken for a state disk.
        let unfinished = self.file("state.new");
        let _ = fs::remove_file(&unfinished);
        let blank = Blank {
            mib: STATE_MIB,
            label: Some(STATE_LABEL.into()),
            partition: None,
        };
        machine::make_blank(&unfinished, &blank).map_err(other)?;
        fs::rename(&unfinished, &disk).map_err(|e| self.unusable(&e))?;
        Ok(disk)
    }
}

impl Claim {
    /// Tells who runs the machine, and its port.
    pub(super) fn tell(&self, port: Option<u16>) -> std::io::Result<()> {
        let running = Running {
            pid: Pid::this().as_raw(),
            port,
            ends_within: power_off_limit().as_secs(),
        };
        let mut text = serde_json::to_string(&running)?;
        // Padded, so that it is one write over what was there.
        text += &" ".repeat(64_usize.saturating_sub(text.len()));
        let mut file: &File = &self.file;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::new(&temp.path().join("run"));
        assert!(state.running().unwrap().is_none());
        let claim = state.claim().unwrap();
        claim.tell(Some(2222)).unwrap();
        let running = state.running().unwrap().unwrap();
        assert_eq!(
            (running.pid, running.port),
            (Pid::this().as_raw(), Some(2222))
        );
        let error = state.claim().err().unwrap().to_string();
        assert!(error.contains("port 2222"), "{error}");
        drop(claim);
        assert!(state.running().unwrap().is_none());
        state.claim().unwrap();
    }
}
