//! How long trials and their steps took when they passed: what is usual on this host.
//!
//! One file under `target/`, bounded, written whole and under a lock, so that many processes can add
//! to it. It is a help and no truth: where it cannot be read or written, nothing is known, no
//! verdict changes. Times are as they were on this host: much of them is waiting, which a slow moment of
//! the host does not make longer.

mod baseline;
mod file;
mod recorder;

pub use baseline::baseline;
pub use file::{Durations, History};
pub use recorder::Recorder;

use base::hash::Hash;
use scenario::Step;

/// What a step is known by: a step that does something else has no history.
fn key(step: &Step) -> String {
    Hash::default().text(&format!("{:?}", step.action)).finish()
}
