//! Connects to an engine as another computer does: over TLS, through a host port that is forwarded to
//! the guest.

use std::error::Error;
use std::path::Path;

use bollard::{API_DEFAULT_VERSION, Docker};
use regex::Regex;

use crate::docker::engine::ANSWER_SECONDS;
use crate::error::MachineError;
use crate::qemu::launch;
use crate::vm::Machine;
use host::speed;

/// The client's certificates, as PEM.
#[derive(Debug)]
pub struct Certificates {
    /// The authority that must have signed the engine's certificate.
    pub ca: String,
    /// The client's certificate.
    pub cert: String,
    /// The client's private key.
    pub key: String,
}

impl Machine {
    /// A client for the engine that listens on a port of the guest.
    ///
    /// # Errors
    /// [`MachineError::TlsRefused`] if either side rejects the other; the connection broke, or no engine
    /// listens.
    pub async fn docker_over_tls(
        &self,
        port: u16,
        certificates: &Certificates,
    ) -> Result<Docker, MachineError> {
        let local = self.forwarded(port).await?;
        let folder = self.write_certificates(certificates).map_err(|error| {
            MachineError::Other(format!("cannot write the certificates: {error}"))
        })?;
        let file = |name: &str| folder.join(name);
        let docker = Docker::connect_with_ssl(
            &format!("tcp://127.0.0.1:{local}"),
            &file("key.pem"),
            &file("cert.pem"),
            &file("ca.pem"),
            speed::seconds(ANSWER_SECONDS).as_secs(),
            API_DEFAULT_VERSION,
        );
        let docker = docker.map_err(|error| tls_error(&error))?;
        docker.ping().await.map_err(|error| tls_error(&error))?;
        Ok(docker)
    }

    /// The host port that is forwarded to a port of the guest. Created at its first use.
    ///
    /// # Errors
    /// QEMU cannot forward the port.
    pub async fn forwarded(&self, port: u16) -> Result<u16, MachineError> {
        let qmp = &self.current_qmp();
        if let Some(local) = local_port(&launch::network_table(qmp).await?, port) {
            return Ok(local);
        }
        let add = format!("hostfwd_add net0 tcp:127.0.0.1:0-:{port}");
        let output = launch::monitor(qmp, &add).await?;
        let table = launch::network_table(qmp).await?;
        let failed = || MachineError::Docker(format!("cannot forward port {port}: {output}"));
        local_port(&table, port).ok_or_else(failed)
    }

    /// Writes the certificates to the machine's folder: bollard reads them again for each connection.
    fn write_certificates(
        &self,
        certificates: &Certificates,
    ) -> std::io::Result<std::path::PathBuf> {
        let folder = tempfile::Builder::new()
            .prefix("tls-")
            .tempdir_in(self.folder())?
            .keep();
        let write = |name: &str, text: &str| std::fs::write(Path::new(&folder).join(name), text);
        write("ca.pem", &certificates.ca)?;
        write("cert.pem", &certificates.cert)?;
        write("key.pem", &certificates.key)?;
        Ok(folder)
    }
}

/// Parses `TCP[HOST_FORWARD]  12  127.0.0.1 33987  10.0.2.15  2376 ...`.
pub(crate) fn local_port(table: &str, guest: u16) -> Option<u16> {
    let row = format!(r"TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+{guest}\b");
    let row = Regex::new(&row).ok()?;
    row.captures(table)?.get(1)?.as_str().parse().ok()
}

/// Converts an error; recognizes a refusal of either side by rustls' messages.
fn tls_error(error: &bollard::errors::Error) -> MachineError {
    let mut chain = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        chain.push(cause.to_string());
        next = cause.source();
    }
    let output = chain.join(": ");
    let refusals = ["received fatal alert", "invalid peer certificate"];
    if refusals.iter().any(|refusal| output.contains(refusal)) {
        MachineError::TlsRefused(output)
    } else {
        MachineError::Docker(format!("docker over TLS: {output}"))
    }
}

#[cfg(test)]
mod tests {
    use super::local_port;

    #[test]
    fn host_port_is_read_from_the_table() {
        let table = "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  TCP[HOST_FORWARD]  18       127.0.0.1 33987       10.0.2.15    22     0     0\r\n  TCP[HOST_FORWARD]  19       127.0.0.1 41000       10.0.2.15  2376     0     0\r\n";
        assert_eq!(local_port(table, 22), Some(33987));
        assert_eq!(local_port(table, 2376), Some(41000));
        assert_eq!(local_port(table, 237), None);
        assert_eq!(local_port("nothing", 22), None);
    }
}
