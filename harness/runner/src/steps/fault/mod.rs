//! Steps that inject faults, and steps that revert them.

mod crash;
mod disk;
mod kill;
mod network;
mod power_off;

use scenario::{ClockStep, FaultStep, MemoryStep, PauseStep, Span};

use crate::session::{ActiveFault, Deadline, Session, StepFailure};

pub(super) async fn perform(
    step: &FaultStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    match step {
        FaultStep::Crash(step) => crash::perform(step, session, deadline).await,
        FaultStep::Kill(step) => kill::perform(step, session, deadline).await,
        FaultStep::Pause(step) => pause(step, session, deadline).await,
        FaultStep::Resume(_) => session.revert(is_pause, deadline).await,
        FaultStep::Network(step) => network::perform(step, session, deadline).await,
        FaultStep::Disk(step) => disk::perform(step, session, deadline).await,
        FaultStep::Clock(step) => clock(step, session, deadline).await,
        FaultStep::Memory(step) => memory(step, session, deadline).await,
        FaultStep::PowerButton(step) => power_off::by_button(step, session, deadline).await,
        FaultStep::PowerOff(step) => power_off::by_command(step, session, deadline).await,
        FaultStep::Undo(target) => {
            session
                .revert(|fault| fault.is_reverted_by(*target), deadline)
                .await
        }
    }
}

fn is_pause(fault: &ActiveFault) -> bool {
    matches!(fault, ActiveFault::Paused)
}

/// Sleeps while a fault is active. The duration is part of the scenario.
async fn last(span: Span) {
    tokio::time::sleep(span.0).await;
}

async fn pause(
    step: &PauseStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    session.machine.pause().await?;
    session.add_fault(ActiveFault::Paused);
    if let Some(span) = step.lasting {
        last(span).await;
        session.revert(is_pause, deadline).await?;
    }
    Ok(())
}

async fn clock(
    step: &ClockStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let seconds = step.jump.seconds;
    let command = format!("date -u -s @$(($(date +%s) + {seconds})) > /dev/null");
    session.add_fault(ActiveFault::Clock);
    session.as_root(&command, deadline).await.map(drop)
}

async fn memory(
    step: &MemoryStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    session.add_fault(ActiveFault::Memory);
    let machine = std::sync::Arc::clone(&session.machine);
    Ok(machine.set_balloon(step.balloon, deadline.left()).await?)
}
