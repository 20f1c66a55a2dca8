//! One running machine: QEMU under one owner, and the ways to talk to it.
// OWNER: machine branch. One file for each: qemu arguments (pure), process owner, qmp, serial,
// events, ssh, docker forwarding, config drive. Signatures here are the contract with trial.rs.

use std::path::PathBuf;
use std::time::Duration;

use crate::evidence::Evidence;
use crate::poll::WaitError;
use crate::profile::ResolvedProfile;

/// A disk beside those of the profile.
#[derive(Debug, Clone)]
pub enum Disk {
    /// An empty qcow2 of this many MiB, gone with the machine.
    Blank {
        /// Size in MiB.
        mib: u64,
        /// When set, formatted as ext4 with this filesystem label.
        label: Option<String>,
    },
    /// A file that is kept and written (the state disk of `harness run`), qcow2.
    Kept(PathBuf),
    /// A file that is never written: an overlay goes on top.
    Base(PathBuf),
}

/// All that a machine is made from.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// The resolved profile.
    pub profile: ResolvedProfile,
    /// Kernel image.
    pub kernel: PathBuf,
    /// Initrd.
    pub initrd: Option<PathBuf>,
    /// Kernel arguments after those of the profile.
    pub kernel_args: Vec<String>,
    /// MiB, when not the profile's.
    pub memory: Option<u64>,
    /// Disks beside the profile's.
    pub disks: Vec<Disk>,
    /// `openstack/latest/user_data` of a config drive; none means no drive.
    pub user_data: Option<String>,
    /// Host port for SSH; none lets QEMU choose.
    pub ssh_port: Option<u16>,
}

/// How to log in over SSH.
#[derive(Debug, Clone)]
pub enum Login {
    /// User and a private key in OpenSSH PEM.
    Key {
        /// User name.
        user: String,
        /// The private key; never printed.
        private_key: String,
    },
    /// User and password.
    Password {
        /// User name.
        user: String,
        /// The password.
        password: String,
    },
}

/// A fresh ed25519 key pair for one machine.
#[derive(Clone)]
pub struct KeyPair {
    /// OpenSSH PEM.
    pub private: String,
    /// One line for `authorized_keys`.
    pub public: String,
}

impl KeyPair {
    /// Makes one.
    pub fn generate() -> Self {
        todo!()
    }
}

/// One line from the guest's boot-event port.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
pub struct BootEvent {
    /// Stage name, e.g. `init`, `root`, `system-docker`, `console`, `started`.
    pub stage: String,
    /// Guest monotonic seconds.
    pub seconds: f64,
    /// The error when the stage failed.
    #[serde(default)]
    pub error: Option<String>,
    /// `true` when it went well (absent with an error).
    #[serde(default)]
    pub ok: bool,
}

/// What the machine did that ends a trial whatever it was doing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Badness {
    /// A line on the console: panic, oops, BUG, hung task, out of memory.
    #[error("the guest's console said: {0}")]
    Console(String),
    /// QEMU ended by itself.
    #[error("QEMU ended: {0}")]
    QemuEnded(String),
}

/// What went wrong between us and the machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// QEMU could not be started, with its stderr.
    #[error("QEMU did not start: {0}")]
    Start(String),
    /// A wait ended without its condition.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The machine broke.
    #[error(transparent)]
    Bad(#[from] Badness),
    /// SSH refused this login.
    #[error("login as {user} was refused")]
    Refused {
        /// Who tried.
        user: String,
    },
    /// SSH otherwise.
    #[error("ssh: {0}")]
    Ssh(String),
    /// The answering machine is not the one that was started.
    #[error("another machine answers on port {port}: {why}")]
    WrongMachine {
        /// The host port.
        port: u16,
        /// What differed.
        why: String,
    },
    /// QMP, files and the rest.
    #[error("{0}")]
    Other(String),
}

/// Which Docker engine of the OS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// system-docker, `/var/run/system-docker.sock`.
    System,
    /// The user's, `/var/run/docker.sock`.
    User,
}

/// A command's end.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit status; none when a signal ended it.
    pub exit: Option<i32>,
    /// Name of the signal that ended it.
    pub signal: Option<String>,
    /// Standard output, bytes as they came.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// A machine that runs. Dropping it ends QEMU and removes its private folder.
pub struct Machine {
    _private: (),
}

impl Machine {
    /// Starts QEMU. Does not wait for the guest.
    ///
    /// # Errors
    /// QEMU cannot be started; a port or file is taken (the message names the owner of a taken port).
    pub async fn start(spec: MachineSpec, evidence: &Evidence) -> Result<Self, MachineError> {
        let _ = (spec, evidence);
        todo!()
    }
    /// Runs `work` but ends it at once when the machine goes bad (panic line, QEMU gone).
    ///
    /// # Errors
    /// The badness, or what `work` failed with.
    pub async fn guard<T>(
        &self,
        work: impl Future<Output = Result<T, MachineError>>,
    ) -> Result<T, MachineError> {
        let _ = work;
        todo!()
    }
    /// The serial line.
    pub fn serial(&self) -> &Serial {
        todo!()
    }
    /// Boot events so far in this boot, and a wait for one by stage name.
    pub fn boot_events(&self) -> Vec<BootEvent> {
        todo!()
    }
    /// Waits for the event of a stage in the current boot.
    ///
    /// # Errors
    /// The deadline, with the last event seen.
    pub async fn wait_event(&self, stage: &str, limit: Duration) -> Result<BootEvent, MachineError> {
        let _ = (stage, limit);
        todo!()
    }
    /// Ready: the `started` event where the guest sends events, else SSH's banner.
    ///
    /// # Errors
    /// The deadline.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), MachineError> {
        let _ = limit;
        todo!()
    }
    /// The host port that leads to the guest's port 22.
    pub fn ssh_port(&self) -> u16 {
        todo!()
    }
    /// Logs in (retrying only connection failures, not refusals); the nonce is read back and the
    /// host key pinned.
    ///
    /// # Errors
    /// Refused, the deadline, or another machine answers.
    pub async fn ssh(&self, login: &Login, limit: Duration) -> Result<Ssh, MachineError> {
        let _ = (login, limit);
        todo!()
    }
    /// A bollard client to an engine over that SSH connection's streamlocal forwarding.
    ///
    /// # Errors
    /// The forwarding cannot be set up.
    pub async fn docker(&self, ssh: &Ssh, engine: Engine) -> Result<bollard::Docker, MachineError> {
        let _ = (ssh, engine);
        todo!()
    }
    /// QMP `execute`, for what has no method of its own.
    ///
    /// # Errors
    /// QEMU's error.
    pub async fn qmp(&self, command: &str, arguments: serde_json::Value) -> Result<serde_json::Value, MachineError> {
        let _ = (command, arguments);
        todo!()
    }
    /// Says that a reboot is coming: boot events and "this boot" of the serial log start anew.
    pub fn expect_reboot(&self) {
        todo!()
    }
    /// Ends the machine now.
    pub async fn stop(self) {
        todo!()
    }
}

/// The serial line: kept from the first byte in `serial.log` of the evidence folder.
pub struct Serial {
    _private: (),
}

impl Serial {
    /// Waits until the output since the last match (or since the start) matches `pattern`.
    ///
    /// # Errors
    /// The deadline, with the last lines seen.
    pub async fn expect(&self, pattern: &regex::Regex, limit: Duration) -> Result<String, MachineError> {
        let _ = (pattern, limit);
        todo!()
    }
    /// Everything so far, lossily as text.
    pub fn text(&self) -> String {
        todo!()
    }
    /// Types.
    ///
    /// # Errors
    /// QEMU is gone.
    pub async fn send(&self, bytes: &[u8]) -> Result<(), MachineError> {
        let _ = bytes;
        todo!()
    }
    /// A login dialogue by rexpect. `Ok(true)` at a shell prompt, `Ok(false)` when refused.
    ///
    /// # Errors
    /// The deadline.
    pub async fn login(&self, user: &str, password: &str, limit: Duration) -> Result<bool, MachineError> {
        let _ = (user, password, limit);
        todo!()
    }
}

/// An SSH connection.
#[derive(Clone)]
pub struct Ssh {
    _private: (),
}

impl Ssh {
    /// Runs a command line by the login shell; the caller judges the exit.
    ///
    /// # Errors
    /// The connection broke or the deadline passed (with what was printed so far).
    pub async fn run(&self, command: &str, limit: Duration) -> Result<Output, MachineError> {
        let _ = (command, limit);
        todo!()
    }
    /// Sends a file.
    ///
    /// # Errors
    /// The connection broke or the guest refused.
    pub async fn upload(&self, content: &[u8], to: &str, mode: u32) -> Result<(), MachineError> {
        let _ = (content, to, mode);
        todo!()
    }
    /// Fetches a file.
    ///
    /// # Errors
    /// The connection broke or there is no such file.
    pub async fn download(&self, from: &str) -> Result<Vec<u8>, MachineError> {
        let _ = from;
        todo!()
    }
}
