//! Looks for frames on a network between machines.

use machine::switch::Network;
use scenario::step::CaptureStep;

use crate::session::{Deadline, FailureKind, Session, StepFailure};

pub(super) async fn perform(
    step: &CaptureStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let network = session.networks.get(&step.network)?;
    let (from, to) = (step.from.as_deref(), step.to.as_deref());
    if let Some(filter) = &step.has {
        let captured = network.capture(filter, from, to);
        let captured = tokio::time::timeout(deadline.left(), captured).await;
        captured.map_err(|_| missing(network))?;
    }
    match &step.lacks {
        Some(filter) if network.has_captured(filter, from, to) => {
            let what = format!("a frame was captured that matches `{filter}`");
            Err(StepFailure::new(what))
        }
        _ => Ok(()),
    }
}

fn missing(network: &Network) -> StepFailure {
    let (kept, sent) = (network.captured().len(), network.totals().received);
    let what = format!(
        "no such frame is in the capture; it holds the last {kept} frames, and the machines sent {sent}"
    );
    StepFailure::of(FailureKind::Expectation, what)
}
