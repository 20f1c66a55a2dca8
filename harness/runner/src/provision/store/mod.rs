//! The store of the checkpoints. The name of a checkpoint's folder is the hash of all its inputs.
//!
//! Each folder has a lock file beside it. The process that creates the checkpoint holds the lock
//! exclusively and writes its process id into the file. Each trial that forks the checkpoint holds the lock
//! shared. The modification time of the lock file is the time of the last use.

mod explain;
mod folder;
mod keep;
mod saved;
#[allow(clippy::module_inception, reason = "named after the type in it")]
mod store;
mod written;

pub use explain::{Difference, Explained};
pub use folder::Damage;
pub use keep::Listed;
pub(crate) use saved::of_machine;
pub(crate) use store::CheckpointLease;
pub use store::{CheckpointStore, StoreError};

#[cfg(test)]
mod tests;
