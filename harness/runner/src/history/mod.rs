//! The history: how long trials and their steps took when they passed on this host.
//!
//! It is one file of bounded size under `target/`, replaced atomically under a lock, so many processes can add
//! to it. It never changes a verdict: if the file cannot be read or written, no durations are known.
//! Durations are not scaled by the speed of the host: much of them is waiting, which a busy host does
//! not make longer.

mod baseline;
mod file;
mod recorder;

pub use baseline::baseline;
pub use file::{Durations, History};
pub use recorder::Recorder;

use base::hash::Hash;
use scenario::Step;

/// The title of the boot of a machine, before the first step.
pub(crate) const BOOT: &str = "boot";
/// The title of the fork of a checkpoint, before the first step.
pub(crate) const FORK: &str = "fork";

/// The key of a step: the hash of its action. A step whose action changes has no history.
fn key(step: &Step) -> String {
    Hash::default().text(&format!("{:?}", step.action)).finish()
}
