//! Presses the power button.

use scenario::step::PowerButtonStep;

use super::power_off::expect_output;
use crate::session::{Deadline, Session, StepFailure};

pub(super) async fn perform(
    step: &PowerButtonStep,
    session: &Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    session.machine.power_off(deadline.left()).await?;
    expect_output(step.says.as_ref(), session, deadline).await
}
