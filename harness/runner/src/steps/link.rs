//! Impairs the link of a machine to a network.

use machine::switch::Impairment;
use scenario::step::LinkStep;

use crate::session::{Session, StepFailure};

pub(super) async fn perform(step: &LinkStep, session: &mut Session<'_>) -> Result<(), StepFailure> {
    let impairment = Impairment {
        delay: step.delay.map(|span| span.0).unwrap_or_default(),
        loss: step.loss.unwrap_or_default(),
        duplicate: step.duplicate.unwrap_or_default(),
        rate: step.rate.map(|rate| rate.0),
    };
    let (networks, network) = (&session.networks, &step.network);
    networks.impair(network, &step.machine, impairment)?;
    if let Some(span) = step.lasting {
        // The duration is part of the scenario.
        tokio::time::sleep(span.0).await;
        networks.restore(network, &step.machine);
    }
    Ok(())
}
