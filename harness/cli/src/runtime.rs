//! The tokio runtime of a trial or of the interactive machine.

use tokio::runtime::{Builder, Runtime};

/// A runtime with two threads: most of a trial is waiting, and many trials run at a time.
///
/// # Errors
/// The host has no threads or descriptors left.
pub fn new() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}
