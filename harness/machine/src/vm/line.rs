//! A socket between QEMU and this process, for packets of a network.

use std::io;

use serde_json::json;

use super::machine::Machine;
use crate::error::MachineError;
use crate::network::socket::Socket;

impl Machine {
    /// Creates a socket, and a QEMU character device of this name that connects to it.
    pub(crate) async fn line(&self, of: &str, name: &str) -> Result<Socket, MachineError> {
        let other = |error: io::Error| MachineError::Other(format!("{name}: {error}"));
        let socket = Socket::new(&self.vm.resources.folder, name).map_err(other)?;
        let address = json!({ "type": "unix", "data": { "path": socket.path } });
        let data = json!({ "addr": address, "server": false });
        let backend = json!({ "type": "socket", "data": data });
        let device = json!({ "id": name, "backend": backend });
        // QEMU has connected when it answers.
        self.set(of, "chardev-add", device).await?;
        Ok(socket)
    }
}
