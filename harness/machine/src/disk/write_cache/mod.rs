//! Disks with a write cache that a power cut empties.
//!
//! QEMU accesses the file of such a disk through this process, by NBD on a socket that it inherits. A
//! write of the guest is in the file at once; the replaced bytes are kept in memory until the guest
//! flushes. A power cut restores the file to the last flush and writes again what a pattern, derived from
//! a seed, keeps. Killing QEMU alone loses nothing that reached it.
//!
//! QEMU's own write log (`blklogwrites`) is not used: it grows with all writes, QEMU 7.2 mixes zeros in
//! it up with concurrent writes, and the log of a killed or stopped QEMU does not show which flushes the
//! guest was promised.

mod disk;
mod nbd;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::Disk;
pub use disk::Loss;

/// A disk that is served to a QEMU process and to its successors.
#[derive(Clone)]
pub(crate) struct Served {
    id: String,
    disk: Arc<Mutex<Disk>>,
}

impl Served {
    /// Opens a raw file.
    pub(crate) fn open(id: &str, file: &Path) -> io::Result<Self> {
        Ok(Self {
            id: id.to_owned(),
            disk: Arc::new(Mutex::new(Disk::open(file)?)),
        })
    }

    /// Serves the disk on a connected socket, in a thread that ends when QEMU closes its end.
    pub(crate) fn serve(&self, line: UnixStream) -> io::Result<()> {
        let disk = Arc::clone(&self.disk);
        let name = format!("{}-server", self.id);
        // The line breaks when QEMU exits; the monitor reports that.
        let serve = move || drop(nbd::serve(line, &disk));
        std::thread::Builder::new()
            .name(name)
            .spawn(serve)
            .map(drop)
    }

    /// The id of the disk.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Cuts the power: no request reaches the disk any more, and none is answered.
    pub(crate) fn cut_power(&self) {
        lock(&self.disk).cut_power();
    }

    /// Applies the losses of a power cut.
    pub(crate) fn lose(&self, pattern: &mut fastrand::Rng) -> io::Result<Loss> {
        lock(&self.disk).lose(pattern)
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}
