//! The state folder of the interactive machine: its disk, its lock, and the owner of the lock.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::boot::power_off_limit;
use super::other;
use base::lock;
use machine::{Blank, MachineError, RANCHEROS};
use runner::evidence::write_key;

/// The size of the state disk in MiB; the file is sparse.
const STATE_MIB: u64 = 8 * 1024;

/// The state folder, with or without a running machine.
pub(super) struct StateFolder {
    folder: PathBuf,
}

/// A running machine, as recorded in the lock file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Running {
    /// The process id of the owner, not of QEMU.
    pub(super) pid: i32,
    /// The port for SSH, when QEMU is running.
    pub(super) port: Option<u16>,
    /// How many seconds the owner needs at most to stop the machine after a signal. The owner computes it,
    /// because another process may measure a different speed of this host.
    pub(super) ends_within: u64,
}

/// The exclusive right to run a machine on the folder. It ends with the process.
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

    /// Claims the folder for a machine of this process.
    pub(super) fn claim(&self) -> Result<Claim, MachineError> {
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700)))
            .map_err(|e| self.unusable(&e))?;
        match lock::take(&self.lock_file(), FlockArg::LockExclusiveNonblock) {
            Ok(file) => {
                // A previous machine may have left its key.
                let _ = fs::remove_file(self.login_key());
                let claim = Claim { file };
                claim.record(None).map_err(|e| self.unusable(&e))?;
                Ok(claim)
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(self.taken()),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    /// The file of the private key that the machine accepts, if it does not accept the user's own keys.
    pub(super) fn login_key(&self) -> PathBuf {
        self.file("login-key")
    }

    /// Writes the private key that the machine accepts. Only the owner of the file can read it.
    pub(super) fn write_login_key(&self, key: &str) -> Result<PathBuf, MachineError> {
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
            "a machine is already running{who}; hint: stop it with `harness stop`, or enter it with `harness ssh`"
        ))
    }

    fn unusable(&self, error: &std::io::Error) -> MachineError {
        other(format!("{}: {error}", self.folder.display()))
    }

    /// The running machine; `None` if the lock is free.
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

    /// Returns the state disk. It is created if it does not exist or a fresh one is requested.
    pub(super) fn disk(&self, fresh: bool) -> Result<PathBuf, MachineError> {
        let disk = self.file("state.img");
        if disk.exists() && !fresh {
            return Ok(disk);
        }
        // Rename the finished file, so that a partially formatted file is never used as the state disk.
        let unfinished = self.file("state.new");
        let _ = fs::remove_file(&unfinished);
        let blank = Blank {
            mib: STATE_MIB,
            label: Some(RANCHEROS.state_label.into()),
            partition: None,
        };
        machine::make_blank(&unfinished, &blank).map_err(other)?;
        fs::rename(&unfinished, &disk).map_err(|e| self.unusable(&e))?;
        Ok(disk)
    }
}

impl Claim {
    /// Records this process and the port of the machine in the lock file.
    pub(super) fn record(&self, port: Option<u16>) -> std::io::Result<()> {
        let running = Running {
            pid: Pid::this().as_raw(),
            port,
            ends_within: power_off_limit().as_secs(),
        };
        let mut text = serde_json::to_string(&running)?;
        // Padded, so that one write replaces the previous content.
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
    fn claim_fails_while_another_machine_is_running() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::new(&temp.path().join("run"));
        assert!(state.running().unwrap().is_none());
        let claim = state.claim().unwrap();
        claim.record(Some(2222)).unwrap();
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
