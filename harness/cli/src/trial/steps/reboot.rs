//! A reboot, proven by a changed boot id.

use scenario::{Account, RebootStep};

use super::super::deadline::Deadline;
use super::super::fault::Fault;
use super::super::session::Session;

const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
const COMMAND: &str = "sudo reboot";
/// The first boot event.
pub(super) const FIRST: &str = "init";

pub(super) async fn perform(
    step: &RebootStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let command = step.command.as_deref().unwrap_or(COMMAND);
    let before = boot_id(session, deadline).await?;
    session.machine.expect_reboot().await;
    let machine = std::sync::Arc::clone(&session.machine);
    let resets = machine.resets();
    let reset = machine.wait_reset(resets, deadline.left());
    tokio::pin!(reset);
    tokio::select! {
        // The command may be done when the reboot has only begun.
        ordered = order(command, session, deadline) => {
            ordered?;
            machine.guard(reset).await?;
        }
        // The connection to a machine that was reset is not closed, it only falls silent.
        reset = &mut reset => reset?,
    }
    let ready = session.machine.wait_ready(deadline.left()).await;
    if let Err(error) = ready {
        return Err(Fault::from(error).with("boot id before", before));
    }
    session.forget();
    let after = boot_id(session, deadline).await?;
    if after == before {
        return Err(
            Fault::new("the machine did not reboot: its boot id is the same")
                .with("boot id", after),
        );
    }
    Ok(())
}

pub(super) async fn boot_id(
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<String, Fault> {
    let output = session.run(BOOT_ID, Account::Rancher, deadline).await?;
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if id.is_empty() {
        return Err(Fault::new("the machine has no boot id").with_output(BOOT_ID, &output));
    }
    Ok(id)
}

/// Gives the command. A connection that breaks meanwhile is what one would expect, a command that
/// fails is not.
pub(super) async fn order(
    command: &str,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let ssh = session.ssh(deadline).await?;
    match ssh.run(command, deadline.left()).await {
        Ok(output) if output.exit.is_some_and(|status| status != 0) => {
            Err(Fault::new("the command failed").with_output(command, &output))
        }
        _ => Ok(()),
    }
}
