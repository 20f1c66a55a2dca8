//! Presses the reset button. The reset that QEMU reports is the proof.

use std::sync::Arc;

use scenario::step::ResetStep;

use crate::session::{Deadline, Session, StepFailure};

pub(super) async fn perform(
    ResetStep {}: &ResetStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let machine = Arc::clone(&session.machine);
    let resets = machine.resets();
    machine.expect_reboot().await;
    machine.reset().await?;
    let reset = machine.wait_reset(resets, deadline.left());
    machine.fail_fast(reset).await?;
    session.forget();
    Ok(machine.wait_ready(deadline.left()).await?)
}
