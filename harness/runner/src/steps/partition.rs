//! Cuts the traffic between machines.

use scenario::step::PartitionStep;

use crate::session::{Session, StepFailure};

pub(super) async fn perform(
    step: &PartitionStep,
    session: &mut Session<'_>,
) -> Result<(), StepFailure> {
    let mut cuts = Vec::new();
    for (from, to) in step.cuts() {
        cuts.push(session.networks.cut(&step.network, &from, &to)?);
    }
    if let Some(span) = step.lasting {
        // The duration is part of the scenario.
        tokio::time::sleep(span.0).await;
        cuts.into_iter().for_each(|cut| session.networks.heal(cut));
    }
    Ok(())
}
