//! Creates the missing checkpoints of a trial, each from the previous one.

use std::path::Path;
use std::time::Duration;

use machine::KeyPair;

use super::key::CheckpointKey;
use super::store::{CheckpointLease, CheckpointStore, StoreError};

/// What creates the checkpoints of one trial. A checkpoint is identified by the number of setups before it.
pub(crate) trait Builder {
    /// Why a checkpoint cannot be created.
    type Error: From<StoreError>;

    /// The store of the checkpoints.
    fn store(&self) -> &CheckpointStore;

    /// The key of the checkpoint after the first `setups` setups.
    fn key(&self, setups: usize) -> Result<CheckpointKey, Self::Error>;

    /// How long another process may take to create this checkpoint with all earlier ones.
    fn timeout(&self, setups: usize) -> Duration;

    /// Boots a machine and saves it in `folder`. Returns the key pair that it accepts.
    async fn boot(&self, folder: &Path) -> Result<KeyPair, Self::Error>;

    /// Forks the checkpoint before the setup with this index, runs the setup, and saves the machine in `folder`.
    async fn set_up(&self, setup: usize, folder: &Path) -> Result<KeyPair, Self::Error>;

    /// QEMU rejected a checkpoint, which is created again.
    fn rejected(&self, why: &Self::Error);
}

/// Returns the checkpoint after the first `setups` setups. If it does not exist, it is created from the
/// previous checkpoint.
pub(super) async fn checkpoint<B: Builder>(
    builder: &B,
    setups: usize,
) -> Result<CheckpointLease, B::Error> {
    let key = builder.key(setups)?;
    let make = async |folder: &Path| match setups.checked_sub(1) {
        None => builder.boot(folder).await,
        // On the heap, because the setup forks the checkpoint before it, and so comes back here.
        Some(last) => Box::pin(builder.set_up(last, folder)).await,
    };
    builder
        .store()
        .get_or_create(&key, builder.timeout(setups), make)
        .await
}
