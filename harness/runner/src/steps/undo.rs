//! Reverts faults.

use scenario::step::Undone;

use crate::session::{ActiveFault, Deadline, Session, StepFailure};

/// `of_networks` says whether faults of the networks between machines are reverted as well.
pub(super) async fn perform(
    target: Undone,
    of_networks: bool,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let is_target = |fault: &ActiveFault| fault.is_reverted_by(target);
    if of_networks {
        session.networks.revert(target);
    }
    session.revert(is_target, deadline).await
}
