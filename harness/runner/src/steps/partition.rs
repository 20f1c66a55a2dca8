//! Cuts the traffic between machines.

use scenario::step::{PartitionStep, Undone};

use crate::session::{Session, StepFailure};

pub(super) async fn perform(
    step: &PartitionStep,
    session: &mut Session<'_>,
) -> Result<(), StepFailure> {
    for (from, to) in step.cuts() {
        session.networks.cut(&step.network, &from, &to)?;
    }
    if let Some(span) = step.lasting {
        // The duration is part of the scenario.
        tokio::time::sleep(span.0).await;
        session.networks.revert(Undone::Partition);
    }
    Ok(())
}
