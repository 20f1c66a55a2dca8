//! Takes memory from the machine.

use std::sync::Arc;

use scenario::step::MemoryStep;

use crate::session::{ActiveFault, Deadline, Session, StepFailure};

pub(super) async fn perform(
    step: &MemoryStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    session.add_fault(ActiveFault::Memory);
    let machine = Arc::clone(&session.machine);
    Ok(machine.set_balloon(step.balloon, deadline.left()).await?)
}
