//! Machines saved on disk: checkpoints, from which forks start, and failure snapshots.

pub(crate) mod checkpoint;
pub(crate) mod damage;
pub(crate) mod failure;
pub(crate) mod stream;
