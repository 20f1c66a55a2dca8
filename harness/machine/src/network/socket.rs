//! A Unix socket that QEMU connects to.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use tokio::net::{UnixListener, UnixStream};

use base::private_dir::PrivateFolder;

/// A socket that QEMU connects to, and after a reset the next QEMU.
pub(crate) struct Socket {
    listener: UnixListener,
    /// Short even if the folder's path is long, and valid in QEMU as well.
    pub(crate) path: String,
    file: PathBuf,
    _folder: File,
}

impl Socket {
    pub(crate) fn new(folder: &PrivateFolder, name: &str) -> io::Result<Self> {
        let held = File::open(folder.path())?;
        let path = format!(
            "/proc/{}/fd/{}/{name}",
            std::process::id(),
            held.as_raw_fd()
        );
        Ok(Self {
            listener: UnixListener::bind(&path)?,
            path,
            file: folder.file(name),
            _folder: held,
        })
    }
}

impl Socket {
    /// Accepts the next connection.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Otherwise the file is removed with the machine's folder.
        let _ = std::fs::remove_file(&self.file);
    }
}
