//! Runs one step of a scenario or a setup.

use std::sync::Arc;
use std::time::Duration;

use crate::session::{Deadline, Session, StepFailure, StepTimeout, in_words};
use crate::steps;
use host::speed::HostSpeed;
use scenario::Step;

/// Runs a step under `fail_fast`, its own deadline and the deadline of the scenario.
pub(super) async fn within(
    step: &Step,
    session: &mut Session<'_>,
    whole: &Deadline,
    timeout: StepTimeout,
) -> Result<(), StepFailure> {
    /// Extra time for a wait to report what it last saw, before the step is cancelled.
    const GRACE: Duration = Duration::from_secs(1);

    if whole.left().is_zero() {
        let limit = whole.limit().div_f64(HostSpeed::of_host().factor());
        let limit = in_words(limit, HostSpeed::of_host());
        return Err(StepFailure::new(format!(
            "the scenario's timeout ({limit}) expired before this step"
        )));
    }
    let limit = timeout.limit.min(whole.left());
    let deadline = Deadline::within(limit);
    let machine = Arc::clone(&session.machine);
    let work = async { Ok(steps::perform(step, session, &deadline).await) };
    let ended = match tokio::time::timeout(limit + GRACE, machine.fail_fast(work)).await {
        Ok(Ok(Err(failure))) if failure.may_have_guest_cause() => {
            Err(machine.cause().await.map_or(failure, StepFailure::from))
        }
        Ok(Ok(verdict)) => verdict,
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            let limit = limit.as_secs_f64();
            Err(StepFailure::new(format!(
                "the step timed out after {limit:.0} s"
            )))
        }
    };
    ended.map_err(|failure| {
        if deadline.left().is_zero() {
            timeout.explain(failure)
        } else {
            failure
        }
    })
}
