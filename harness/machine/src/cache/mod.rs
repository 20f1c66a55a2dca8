//! Disks with a write cache that a power cut empties.
//!
//! QEMU reaches the file of such a disk through this process, by NBD on a socket that it inherits.
//! What the guest writes is in the file at once, and what stood there before is kept beside it
//! until the guest flushes: so a power cut can put the file back to the last flush and write again
//! what a pattern drawn from a seed keeps. Killing QEMU alone loses nothing of what reached it.
//!
//! Not QEMU's own log of writes (`blklogwrites`): it grows with all that is ever written, QEMU 7.2
//! mixes zeroes in it up with what is written at the same time, and a log whose QEMU was killed or
//! stopped does not tell which flushes the guest was promised.

mod disk;
mod nbd;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::Disk;
pub use disk::Loss;

/// A disk that is served to a QEMU, and to the next one after it.
#[derive(Clone)]
pub(super) struct Served {
    id: String,
    disk: Arc<Mutex<Disk>>,
}

impl Served {
    /// A plain file.
    pub(super) fn open(id: &str, file: &Path) -> io::Result<Self> {
        Ok(Self {
            id: id.to_owned(),
            disk: Arc::new(Mutex::new(Disk::open(file)?)),
        })
    }

    /// Serves it on a connected socket, in a thread that ends when QEMU closes its end.
    pub(super) fn serve(&self, line: UnixStream) -> io::Result<()> {
        let disk = Arc::clone(&self.disk);
        let name = format!("{}-server", self.id);
        // A line that breaks off is a QEMU that is gone, which others tell.
        let serve = move || drop(nbd::serve(line, &disk));
        std::thread::Builder::new()
            .name(name)
            .spawn(serve)
            .map(drop)
    }

    /// Which disk.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Nothing reaches the disk any more, and nothing is answered.
    pub(super) fn switch_off(&self) {
        lock(&self.disk).switch_off();
    }

    /// What the disk has lost when its power comes back.
    pub(super) fn lose(&self, pattern: &mut fastrand::Rng) -> io::Result<Loss> {
        lock(&self.disk).lose(pattern)
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}
