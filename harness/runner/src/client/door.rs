//! Ports of the machine as Unix sockets, which a client without a network can reach.

use std::io;
use std::path::Path;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinSet;

/// Forwarded ports, open until this is dropped.
#[derive(Default)]
pub(crate) struct Doors {
    ports: Vec<u16>,
    served: JoinSet<()>,
}

impl Doors {
    /// Opens a port of the machine as the socket `file`. `local` is the port of this host that forwards to the
    /// machine; `path` is a short path of the socket for bind(2).
    pub(super) fn add(&mut self, port: u16, local: u16, file: &Path, path: &str) -> io::Result<()> {
        // The previous command may have left a socket.
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        self.ports.push(port);
        self.served.spawn(serve(listener, local));
        Ok(())
    }

    /// The open ports.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.iter().copied()
    }
}

async fn serve(listener: UnixListener, local: u16) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        connections.spawn(async move {
            // If the machine closes or refuses the connection, the client sees its connection close.
            if let Ok(mut far) = TcpStream::connect(("127.0.0.1", local)).await {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
