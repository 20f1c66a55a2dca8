//! A panic of the kernel that is meant, and the boot after it.

use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::Value;

use crate::machine::MachineError;
use crate::scenario::{Account, CrashCause, CrashStep};

use super::super::super::deadline::Deadline;
use super::super::super::fault::Fault;
use super::super::super::session::Session;
use super::super::reboot::{FIRST, boot_id};

static PANIC: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new("Kernel panic - not syncing: .*"));

pub(super) async fn perform(
    step: &CrashStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let before = boot_id(session, deadline).await?;
    let reboots = reboots_by_itself(session, deadline).await?;
    session.machine.expect_reboot().await;
    session.machine.serial().expect_panic();
    let ready = come_back(step, reboots, session, deadline).await;
    session.machine.serial().watch_again();
    session.forget();
    if let Err(fault) = ready {
        return Err(fault.with("boot id before", before));
    }
    let after = boot_id(session, deadline).await?;
    if after == before {
        let same = "the machine did not boot again: its boot id is the same";
        return Err(Fault::new(same).with("boot id", after));
    }
    Ok(())
}

/// Whether this kernel is told to reboot after a panic.
async fn reboots_by_itself(session: &mut Session<'_>, deadline: &Deadline) -> Result<bool, Fault> {
    let seconds = session
        .as_root("cat /proc/sys/kernel/panic", deadline)
        .await?;
    Ok(seconds.trim() != "0")
}

async fn come_back(
    step: &CrashStep,
    reboots: bool,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let machine = Arc::clone(&session.machine);
    let panic = PANIC
        .as_ref()
        .map_err(|error| Fault::new(error.to_string()))?;
    tokio::select! {
        panicked = machine.serial().expect(panic, deadline.left()) => drop(panicked?),
        failed = cause(step.by, session, deadline) => return Err(failed),
    }
    if !reboots {
        machine.qmp("system_reset", Value::Null).await?;
    }
    // From its first sign of life on a new kernel is watched as any other.
    tokio::select! {
        begun = machine.wait_event(FIRST, deadline.left()) => drop(begun?),
        ready = machine.wait_ready(deadline.left()) => return Ok(ready?),
    }
    machine.serial().watch_again();
    Ok(machine.wait_ready(deadline.left()).await?)
}

/// Comes back only with why there will be no panic.
async fn cause(by: CrashCause, session: &mut Session<'_>, deadline: &Deadline) -> Fault {
    let command = match by {
        CrashCause::Sysrq => "echo c > /proc/sysrq-trigger",
        CrashCause::Nmi => "echo 1 > /proc/sys/kernel/unknown_nmi_panic",
    };
    match session.run(command, Account::Root, deadline).await {
        Ok(output) if output.exit != Some(0) => {
            return Fault::new("the kernel cannot be made to panic").with_output(command, &output);
        }
        // The connection to a kernel that panicked falls silent, or breaks.
        _ => {}
    }
    let injected: Result<_, MachineError> = match by {
        CrashCause::Nmi => session.machine.qmp("inject-nmi", Value::Null).await,
        CrashCause::Sysrq => Ok(Value::Null),
    };
    match injected {
        Err(error) => error.into(),
        Ok(_) => std::future::pending().await,
    }
}
