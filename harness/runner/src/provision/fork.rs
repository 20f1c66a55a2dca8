//! Forks a checkpoint.

use machine::Machine;

use super::build::{Builder, checkpoint};
use super::store::CheckpointLease;

/// Forks the checkpoint after the first `setups` setups. If QEMU rejects the saved state, the checkpoint is
/// created again once.
pub(crate) async fn fork<B: Builder>(
    builder: &B,
    setups: usize,
    fork: impl AsyncFn(&CheckpointLease) -> Result<Machine, B::Error>,
) -> Result<(CheckpointLease, Machine), B::Error> {
    let lease = checkpoint(builder, setups).await?;
    let refused = match fork(&lease).await {
        Ok(machine) => return Ok((lease, machine)),
        Err(failure) => failure,
    };
    drop(lease);
    let name = builder.key(setups)?.name();
    if !builder.store().remove(&name) {
        return Err(refused);
    }
    builder.rejected(&refused);
    let lease = checkpoint(builder, setups).await?;
    let machine = fork(&lease).await?;
    Ok((lease, machine))
}
