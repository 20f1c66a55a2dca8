//! Reboots the machine. A changed boot id proves the reboot.

use scenario::Account;
use scenario::step::RebootStep;

use crate::session::{Deadline, Session, StepFailure};

const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
const COMMAND: &str = "sudo reboot";

pub(super) async fn perform(
    step: &RebootStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let command = step.command.as_deref().unwrap_or(COMMAND);
    let before = boot_id(session, deadline).await?;
    session.machine.expect_reboot().await;
    let machine = std::sync::Arc::clone(&session.machine);
    let resets = machine.resets();
    let reset = machine.wait_reset(resets, deadline.left());
    tokio::pin!(reset);
    tokio::select! {
        // The command may return before the reset.
        sent = send_command(command, session, deadline) => {
        sent?;
            machine.fail_fast(reset).await?;
        }
        // A reset does not close the connection, which only becomes silent.
        reset = &mut reset => reset?,
    }
    let ready = session.machine.wait_ready(deadline.left()).await;
    if let Err(error) = ready {
        return Err(StepFailure::from(error).with("boot id before", before));
    }
    session.forget();
    let after = boot_id(session, deadline).await?;
    if after == before {
        return Err(
            StepFailure::new("the machine did not reboot: its boot id is unchanged")
                .with("boot id", after),
        );
    }
    Ok(())
}

pub(super) async fn boot_id(
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<String, StepFailure> {
    let output = session.run(BOOT_ID, Account::Login, deadline).await?;
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if id.is_empty() {
        return Err(StepFailure::new("the machine has no boot id").with_output(BOOT_ID, &output));
    }
    Ok(id)
}

/// Runs the command. A broken connection is expected, because the machine goes down; a failing command is an
/// error.
pub(super) async fn send_command(
    command: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let ssh = session.ssh(deadline).await?;
    match ssh.run(command, deadline.left()).await {
        Ok(output) if output.exit.is_some_and(|status| status != 0) => {
            Err(StepFailure::new("the command failed").with_output(command, &output))
        }
        _ => Ok(()),
    }
}
