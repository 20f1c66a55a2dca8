//! Looks for frames on a network between machines.

use machine::switch::{Filter, Network};
use scenario::step::CaptureStep;

use crate::session::{Deadline, FailureKind, Session, StepFailure};

pub(super) async fn perform(
    step: &CaptureStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let network = session.networks.get(&step.network)?;
    let captured = |filter: &Filter| {
        let (from, to) = (step.from.as_deref(), step.to.as_deref());
        network.has_captured(filter, from, to)
    };
    if let Some(filter) = &step.has {
        appears(network, || captured(filter), deadline).await?;
    }
    match &step.lacks {
        Some(filter) if captured(filter) => {
            let what = format!("a frame was captured that matches `{filter}`");
            Err(StepFailure::new(what))
        }
        _ => Ok(()),
    }
}

/// Waits for a frame.
async fn appears(
    network: &Network,
    is_there: impl Fn() -> bool,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let mut watch = network.watch();
    loop {
        // Before the look: a frame that comes during it wakes the wait.
        watch.mark_unchanged();
        if is_there() {
            return Ok(());
        }
        let more = tokio::time::timeout(deadline.left(), watch.changed()).await;
        if !matches!(more, Ok(Ok(()))) {
            let (kept, sent) = (network.captured().len(), network.totals().received);
            let what = format!(
                "no such frame is in the capture; it holds the last {kept} frames, and the machines sent {sent}"
            );
            return Err(StepFailure::of(FailureKind::Expectation, what));
        }
    }
}
