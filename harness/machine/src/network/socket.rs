//! A socket that QEMU connects to.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use tokio::net::{UnixListener, UnixStream};

use base::private_dir::PrivateFolder;

/// A socket on which QEMU, and after a reset the next one, connects.
pub(crate) struct Socket {
    listener: UnixListener,
    /// Short, whatever the folder is called, and good in QEMU, too.
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
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It goes with the machine's folder otherwise.
        let _ = std::fs::remove_file(&self.file);
    }
}
