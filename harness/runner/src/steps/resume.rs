//! Resumes the paused machine.

use scenario::step::ResumeStep;

use super::pause::is_pause;
use crate::session::{Deadline, Session, StepFailure};

pub(super) async fn perform(
    ResumeStep {}: &ResumeStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    session.revert(is_pause, deadline).await
}
