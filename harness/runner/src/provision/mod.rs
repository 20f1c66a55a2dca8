//! Checkpoints: saved machines that are ready. A trial forks a checkpoint instead of booting.
//!
//! A trial needs one checkpoint for the boot and one for each setup, and each is created from the previous one.
//!
//! | file | subject |
//! |---|---|
//! | `key` | what a checkpoint depends on |
//! | `store` | the checkpoints on disk: find, lock, explain, evict |
//! | `build` | creates the missing checkpoints of a trial, in their order |
//! | `fork` | forks a checkpoint, and creates it again if QEMU rejects it |
//!
//! What happens in the machines, and so the scenario, is the caller's: it implements `Builder`.

mod build;
mod fork;
mod key;
mod store;

pub(crate) use build::Builder;
pub(crate) use fork::fork;
pub use key::CheckpointKey;
pub(crate) use key::{boot_inputs, images};
pub(crate) use store::{CheckpointLease, of_machine};
pub use store::{CheckpointStore, Damage, Difference, Explained, Listed, StoreError};
