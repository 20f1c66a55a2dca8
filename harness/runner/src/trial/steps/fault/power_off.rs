//! The end of the machine, by its power button or by a command.

use std::sync::{Arc, LazyLock};

use regex::Regex;

use scenario::{Line, Pattern, PowerButtonStep, PowerOffStep};

use super::super::super::deadline::Deadline;
use super::super::super::session::Session;
use super::super::super::step_failure::StepFailure;
use super::super::reboot::order;

/// The last words of a kernel that stops with the power on.
static HALTED: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new("reboot: System halted"));

pub(super) async fn by_button(
    step: &PowerButtonStep,
    session: &Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    session.machine.power_off(deadline.left()).await?;
    said(step.says.as_ref(), session, deadline).await
}

pub(super) async fn by_command(
    step: &PowerOffStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let machine = Arc::clone(&session.machine);
    if !step.halts {
        let given = give(step, session, deadline);
        machine.expect_power_off(given, deadline.left()).await?;
    } else {
        give(step, session, deadline).await?;
    }
    said(step.says.as_ref(), session, deadline).await?;
    if step.halts {
        let halted = HALTED
            .as_ref()
            .map_err(|e| StepFailure::new(e.to_string()))?;
        machine.serial().expect(halted, deadline.left()).await?;
        machine.stop_halted().await;
    }
    Ok(())
}

/// What had to be said before the end was.
async fn said(
    says: Option<&Pattern>,
    session: &Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    if let Some(says) = says {
        let serial = session.machine.serial();
        serial.expect(&says.0, deadline.left()).await?;
    }
    Ok(())
}

async fn give(
    step: &PowerOffStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    match step.over {
        Line::Ssh => order(&step.command, session, deadline).await,
        Line::Serial => {
            let serial = session.machine.serial();
            Ok(serial.send_line(&step.command).await?)
        }
    }
}
