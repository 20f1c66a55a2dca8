//! Forks a checkpoint.

use super::build::{Builder, checkpoint};
use super::store::CheckpointLease;

/// Forks the checkpoint after the first `setups` setups: `fork` returns the new machines. If QEMU rejects the
/// saved state, the checkpoint is created again once.
pub(crate) async fn fork<B: Builder, M>(
    builder: &B,
    setups: usize,
    fork: impl AsyncFn(&CheckpointLease) -> Result<M, B::Error>,
) -> Result<(CheckpointLease, M), B::Error> {
    let lease = checkpoint(builder, setups).await?;
    let refused = match fork(&lease).await {
        Ok(machines) => return Ok((lease, machines)),
        Err(failure) => failure,
    };
    drop(lease);
    let name = builder.key(setups)?.name();
    if !builder.store().remove(&name) {
        return Err(refused);
    }
    builder.rejected(&refused);
    let lease = checkpoint(builder, setups).await?;
    let machines = fork(&lease).await?;
    Ok((lease, machines))
}
