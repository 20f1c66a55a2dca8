//! Powers the machine off by a command.

use std::sync::{Arc, LazyLock};

use regex::Regex;

use scenario::Pattern;
use scenario::step::{Line, PowerOffStep};

use super::reboot;
use crate::session::{Deadline, Session, StepFailure};

/// The last message of a kernel that halts with the power on.
static HALTED: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new("reboot: System halted"));

pub(super) async fn perform(
    step: &PowerOffStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let machine = Arc::clone(&session.machine);
    if !step.halts {
        let command = send_command(step, session, deadline);
        machine.expect_power_off(command, deadline.left()).await?;
    } else {
        send_command(step, session, deadline).await?;
    }
    expect_output(step.says.as_ref(), session, deadline).await?;
    if step.halts {
        let halted = HALTED
            .as_ref()
            .map_err(|e| StepFailure::new(e.to_string()))?;
        machine.serial().expect(halted, deadline.left()).await?;
        machine.stop_halted().await;
    }
    Ok(())
}

/// Checks that the console printed what the step expects.
pub(super) async fn expect_output(
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

async fn send_command(
    step: &PowerOffStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    match step.over {
        Line::Ssh => reboot::send_command(&step.command, session, deadline).await,
        Line::Serial => {
            let serial = session.machine.serial();
            Ok(serial.send_line(&step.command).await?)
        }
    }
}
