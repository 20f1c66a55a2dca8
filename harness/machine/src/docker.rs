//! The Docker engines of the guest.

use bollard::{API_DEFAULT_VERSION, Docker};

use super::forward::Forward;
use super::{Login, Machine, MachineError, Ssh};
use host::speed;

/// For one answer of an engine, on the reference host.
pub(super) const ANSWER_SECONDS: u64 = 120;

/// Which Docker engine of the OS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// system-docker, `/var/run/system-docker.sock`.
    System,
    /// The user's, `/var/run/docker.sock`.
    User,
}

impl Engine {
    /// Its socket in the guest.
    pub fn socket(self) -> &'static str {
        match self {
            Self::System => "/var/run/system-docker.sock",
            Self::User => "/var/run/docker.sock",
        }
    }
}

/// The sockets of engines that lead here, each with a login.
pub(super) type Forwards = Vec<((Login, Engine), Forward)>;

impl Machine {
    /// A bollard client to an engine over SSH's streamlocal forwarding, with the login of `ssh`.
    /// It is good until the machine reboots. The engine is not asked anything yet, least of all its
    /// version: to tell it, it runs runc.
    ///
    /// # Errors
    /// The forwarding cannot be set up.
    pub async fn docker(&self, ssh: &Ssh, engine: Engine) -> Result<Docker, MachineError> {
        let path = self.forward(ssh, engine).await?;
        let patience = speed::seconds(ANSWER_SECONDS).as_secs();
        let docker = Docker::connect_with_unix(&path, patience, API_DEFAULT_VERSION);
        docker.map_err(|error| MachineError::Other(format!("{engine:?} docker: {error}")))
    }

    /// The forwarding for a login and an engine, begun at its first use and after a reboot.
    async fn forward(&self, ssh: &Ssh, engine: Engine) -> Result<String, MachineError> {
        let mut forwards = self.forwards.lock().await;
        forwards.retain(|(_, forward)| forward.alive());
        let key = (ssh.login().clone(), engine);
        if let Some((_, forward)) = forwards.iter().find(|(known, _)| *known == key) {
            return Ok(forward.path().to_owned());
        }
        let forward = Forward::start(ssh, engine.socket(), &self.chassis.make.folder)?;
        let path = forward.path().to_owned();
        forwards.push((key, forward));
        Ok(path)
    }
}
