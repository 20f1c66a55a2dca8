//! The state folder of the interactive machines: their disks, its lock, and the owner of the lock.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;

use super::boot::power_off_limit;
use super::other;
use super::running::{Running, RunningMachine};
use base::lock;
use machine::{Blank, MachineError, RANCHEROS};
use runner::evidence::write_key;

/// The size of the state disk in MiB; the file is sparse.
const STATE_MIB: u64 = 8 * 1024;

/// The file of a private key, or the first part of its name.
const LOGIN_KEY: &str = "login-key";

/// The state folder, with or without a running machine.
pub(super) struct StateFolder {
    folder: PathBuf,
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
                self.remove_login_keys();
                let claim = Claim { file };
                claim.record(&[]).map_err(|e| self.unusable(&e))?;
                Ok(claim)
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(self.taken()),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    /// The file of the private key that a machine accepts, if it does not accept the user's own keys.
    pub(super) fn login_key(&self, machine: Option<&str>) -> PathBuf {
        match machine {
            None => self.file(LOGIN_KEY),
            Some(name) => self.file(&format!("{LOGIN_KEY}-{name}")),
        }
    }

    /// Removes the keys that previous machines left.
    fn remove_login_keys(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries {
            if entry.file_name().to_string_lossy().starts_with(LOGIN_KEY) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Writes the private key that a machine accepts. Only the owner of the file can read it.
    pub(super) fn write_login_key(
        &self,
        machine: Option<&str>,
        key: &str,
    ) -> Result<PathBuf, MachineError> {
        let file = self.login_key(machine);
        write_key(&file, key).map_err(|e| self.unusable(&e))?;
        Ok(file)
    }

    fn taken(&self) -> MachineError {
        let running = self.running().ok().flatten();
        let who = running.map(|running| format!(" ({})", running.describe()));
        let who = who.unwrap_or_default();
        other(format!(
            "a machine is already running{who}; hint: stop it with `harness stop`, or enter it with `harness ssh`"
        ))
    }

    fn unusable(&self, error: &std::io::Error) -> MachineError {
        other(format!("{}: {error}", self.folder.display()))
    }

    /// The running machines; `None` if the lock is free.
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

    /// Returns the state disk of a machine. It is created if it does not exist or a fresh one is requested.
    pub(super) fn disk(&self, machine: Option<&str>, fresh: bool) -> Result<PathBuf, MachineError> {
        let name = machine.map_or("state".into(), |name| format!("state-{name}"));
        let disk = self.file(&format!("{name}.img"));
        if disk.exists() && !fresh {
            return Ok(disk);
        }
        // Rename the finished file, so that a partially formatted file is never used as the state disk.
        let unfinished = self.file(&format!("{name}.new"));
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
    /// Records this process and its machines in the lock file.
    pub(super) fn record(&self, machines: &[RunningMachine]) -> std::io::Result<()> {
        let running = Running {
            pid: Pid::this().as_raw(),
            machines: machines.to_vec(),
            ends_within: power_off_limit(machines.len()).as_secs(),
        };
        let mut text = serde_json::to_string(&running)?;
        // Padded, so that one write replaces the previous content.
        let before = usize::try_from(self.file.metadata()?.len()).unwrap_or_default();
        text += &" ".repeat(before.saturating_sub(text.len()));
        let mut file: &File = &self.file;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: Option<&str>, port: u16) -> RunningMachine {
        RunningMachine {
            name: name.map(str::to_owned),
            port,
        }
    }

    #[test]
    fn claim_fails_while_another_machine_is_running() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::new(&temp.path().join("run"));
        assert!(state.running().unwrap().is_none());
        let claim = state.claim().unwrap();
        claim.record(&[machine(None, 2222)]).unwrap();
        let running = state.running().unwrap().unwrap();
        assert_eq!(running.pid, Pid::this().as_raw());
        assert_eq!(running.machines, [machine(None, 2222)]);
        let error = state.claim().err().unwrap().to_string();
        assert!(error.contains("port 2222"), "{error}");
        drop(claim);
        assert!(state.running().unwrap().is_none());
        state.claim().unwrap();
    }

    #[test]
    fn record_replaces_a_longer_one() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::new(temp.path());
        let claim = state.claim().unwrap();
        let all = ["a", "b", "c"].map(|name| machine(Some(name), 2222));
        claim.record(&all).unwrap();
        drop(claim);
        let claim = state.claim().unwrap();
        claim.record(&all[..1]).unwrap();
        let running = state.running().unwrap().unwrap();
        assert_eq!(running.machines, all[..1]);
    }

    #[test]
    fn each_machine_has_its_own_disk() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateFolder::new(temp.path());
        for file in ["state.img", "state-b.img"] {
            std::fs::write(temp.path().join(file), "").unwrap();
        }
        let disk = |machine| state.disk(machine, false).unwrap();
        assert_eq!(disk(None), temp.path().join("state.img"));
        assert_eq!(disk(Some("b")), temp.path().join("state-b.img"));
    }
}
