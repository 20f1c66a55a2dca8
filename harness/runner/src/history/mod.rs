//! The history: how long trials and their steps took when they passed on this host.
//!
//! It is one file of bounded size under `target/`, replaced atomically under a lock, so many processes can add
//! to it. It never changes a verdict: if the file cannot be read or written, no durations are known.
//! Durations are not scaled by the speed of the host: much of them is waiting, which a busy host does
//! not make longer.

mod baseline;
mod file;
mod key;
mod recorder;

pub use baseline::baseline;
pub use file::{Durations, History};
pub(crate) use key::{BOOT, FORK};
pub use recorder::Recorder;
