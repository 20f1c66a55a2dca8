//! The Docker engines of the guest.

use crate::guest::Engine;
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::error::MachineError;
use crate::ssh::Ssh;
use crate::ssh::forward::Forward;
use crate::vm::Machine;
use host::speed;

/// Timeout of one answer of an engine, on the reference host.
pub(crate) const ANSWER_SECONDS: u64 = 120;

impl Machine {
    /// A bollard client for an engine, over SSH's streamlocal forwarding, with the login of `ssh`. It is
    /// valid until the machine reboots. Sends no request yet. In particular it does not ask for the
    /// engine's version, because the engine runs runc to answer that.
    ///
    /// # Errors
    /// The forwarding cannot be set up.
    pub async fn docker(&self, ssh: &Ssh, engine: Engine) -> Result<Docker, MachineError> {
        let path = self.forward(ssh, engine).await?;
        let timeout = speed::seconds(ANSWER_SECONDS).as_secs();
        let docker = Docker::connect_with_unix(&path, timeout, API_DEFAULT_VERSION);
        docker.map_err(|error| MachineError::Docker(format!("{engine:?} docker: {error}")))
    }

    /// The forwarding for a login and an engine, started at its first use and after a reboot.
    async fn forward(&self, ssh: &Ssh, engine: Engine) -> Result<String, MachineError> {
        let mut forwards = self.forwards.lock().await;
        forwards.retain(|(_, forward)| forward.alive());
        let key = (ssh.login().clone(), engine);
        if let Some((_, forward)) = forwards.iter().find(|(known, _)| *known == key) {
            return Ok(forward.path().to_owned());
        }
        let forward = Forward::start(ssh, engine.socket(), self.private_folder())?;
        let path = forward.path().to_owned();
        forwards.push((key, forward));
        Ok(path)
    }
}
