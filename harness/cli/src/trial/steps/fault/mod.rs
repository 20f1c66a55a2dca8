//! Steps that break something, and those that mend it.

pub(in crate::trial) mod carrier;
mod crash;
mod disk;
mod kill;
mod network;
mod power_off;

use serde_json::Value;

use scenario::{ClockStep, FaultStep, MemoryStep, PauseStep, Span};

use super::super::broken::Breakage;
use super::super::deadline::Deadline;
use super::super::fault::Fault;
use super::super::session::Session;

pub(super) async fn perform(
    step: &FaultStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    match step {
        FaultStep::Crash(step) => crash::perform(step, session, deadline).await,
        FaultStep::Kill(step) => kill::perform(step, session, deadline).await,
        FaultStep::Pause(step) => pause(step, session, deadline).await,
        FaultStep::Resume(_) => session.mend(is_pause, deadline).await,
        FaultStep::Network(step) => network::perform(step, session, deadline).await,
        FaultStep::Disk(step) => disk::perform(step, session, deadline).await,
        FaultStep::Clock(step) => clock(step, session, deadline).await,
        FaultStep::Memory(step) => memory(step, session, deadline).await,
        FaultStep::PowerButton(step) => power_off::by_button(step, session, deadline).await,
        FaultStep::PowerOff(step) => power_off::by_command(step, session, deadline).await,
        FaultStep::Undo(what) => session.mend(|one| one.is(*what), deadline).await,
    }
}

fn is_pause(one: &Breakage) -> bool {
    matches!(one, Breakage::Paused)
}

/// Lets a fault last as long as the scenario wants it: this time is what the step is about.
async fn last(span: Span) {
    tokio::time::sleep(span.0).await;
}

async fn pause(
    step: &PauseStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    session.machine.qmp("stop", Value::Null).await?;
    session.broke(Breakage::Paused);
    if let Some(span) = step.lasting {
        last(span).await;
        session.mend(is_pause, deadline).await?;
    }
    Ok(())
}

async fn clock(
    step: &ClockStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let seconds = step.jump.seconds;
    let command = format!("date -u -s @$(($(date +%s) + {seconds})) > /dev/null");
    session.broke(Breakage::Clock);
    session.as_root(&command, deadline).await.map(drop)
}

async fn memory(
    step: &MemoryStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    session.broke(Breakage::Memory);
    let machine = std::sync::Arc::clone(&session.machine);
    Ok(machine.set_balloon(step.balloon, deadline.left()).await?)
}
