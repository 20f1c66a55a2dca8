//! Reverts faults.

use scenario::step::Undone;

use crate::session::{ActiveFault, Deadline, Session, StepFailure};

pub(super) async fn perform(
    target: Undone,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let is_target = |fault: &ActiveFault| fault.is_reverted_by(target);
    session.revert(is_target, deadline).await
}
