//! Checkpoint machines as they lie on disk: checkpoints that forks go on from, and failure snapshots.

pub(crate) mod checkpoint;
pub(crate) mod failure;
pub(crate) mod stream;
