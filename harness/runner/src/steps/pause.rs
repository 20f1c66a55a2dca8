//! Pauses the machine.

use scenario::step::PauseStep;

use crate::session::{ActiveFault, Deadline, Session, StepFailure};

pub(super) async fn perform(
    step: &PauseStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    session.machine.pause().await?;
    session.add_fault(ActiveFault::Paused);
    if let Some(span) = step.lasting {
        // The duration is part of the scenario.
        tokio::time::sleep(span.0).await;
        session.revert(is_pause, deadline).await?;
    }
    Ok(())
}

/// Whether a fault is a pause.
pub(super) fn is_pause(fault: &ActiveFault) -> bool {
    matches!(fault, ActiveFault::Paused)
}
