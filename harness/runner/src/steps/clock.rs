//! Changes the clock of the machine.

use scenario::step::ClockStep;

use crate::session::{ActiveFault, Deadline, Session, StepFailure};

pub(super) async fn perform(
    step: &ClockStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let seconds = step.jump.seconds;
    let command = format!("date -u -s @$(($(date +%s) + {seconds})) > /dev/null");
    session.add_fault(ActiveFault::Clock);
    session.as_root(&command, deadline).await.map(drop)
}
