//! An intended kernel panic and the boot after it.

use std::sync::{Arc, LazyLock};

use regex::Regex;

use machine::RANCHEROS;
use scenario::Account;
use scenario::step::{CrashCause, CrashStep};

use super::reboot::boot_id;
use crate::session::{Deadline, Session, StepFailure};

static PANIC: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new("Kernel panic - not syncing: .*"));

pub(super) async fn perform(
    step: &CrashStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let before = boot_id(session, deadline).await?;
    check_panic_setting(step, &kernel_panic(session, deadline).await?)?;
    session.machine.expect_reboot().await;
    session.machine.serial().expect_panic();
    let ready = come_back(step, session, deadline).await;
    session.machine.serial().end_expected_panic();
    session.forget();
    if let Err(failure) = ready {
        return Err(failure.with("boot id before", before));
    }
    let after = boot_id(session, deadline).await?;
    if after == before {
        let same = "the machine did not reboot: its boot id is unchanged";
        return Err(StepFailure::new(same).with("boot id", after));
    }
    Ok(())
}

/// `kernel.panic`: after how many seconds the kernel reboots; 0 means never.
async fn kernel_panic(
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<String, StepFailure> {
    let seconds = session.as_root("cat /proc/sys/kernel/panic", deadline);
    Ok(seconds.await?.trim().to_owned())
}

/// Checks that `kernel.panic` fits the step: the kernel reboots by itself, or halts until the step resets it.
fn check_panic_setting(step: &CrashStep, kernel_panic: &str) -> Result<(), StepFailure> {
    let message = match (kernel_panic == "0", step.reset) {
        (true, false) => {
            "the machine does not reboot after a panic: kernel.panic is 0\n\
             hint: boot with `panic=10`, or reset the machine with `crash: { reset: true }`"
        }
        (false, true) => {
            "the machine reboots by itself after a panic, but the step has `reset: true`\n\
             hint: remove `reset: true`"
        }
        _ => return Ok(()),
    };
    Err(StepFailure::new(message).with("kernel.panic", kernel_panic))
}

async fn come_back(
    step: &CrashStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let machine = Arc::clone(&session.machine);
    let panic = PANIC
        .as_ref()
        .map_err(|error| StepFailure::new(error.to_string()))?;
    tokio::select! {
        panicked = machine.serial().expect(panic, deadline.left()) => drop(panicked?),
        failed = cause(step.by, session, deadline) => return Err(failed),
    }
    if step.reset {
        machine.reset().await?;
    }
    // The console scan resumes with the first boot event of the new kernel.
    tokio::select! {
        booting = machine.wait_event(RANCHEROS.first_stage, deadline.left()) => drop(booting?),
        ready = machine.wait_ready(deadline.left()) => return Ok(ready?),
    }
    machine.serial().end_expected_panic();
    Ok(machine.wait_ready(deadline.left()).await?)
}

/// Triggers the panic. Returns only if there will be no panic, with the reason.
async fn cause(by: CrashCause, session: &mut Session<'_>, deadline: &Deadline) -> StepFailure {
    let command = match by {
        CrashCause::Sysrq => "echo c > /proc/sysrq-trigger",
        CrashCause::Nmi => "echo 1 > /proc/sys/kernel/unknown_nmi_panic",
    };
    match session.run(command, Account::Root, deadline).await {
        Ok(output) if output.exit != Some(0) => {
            return StepFailure::new("cannot make the kernel panic").with_output(command, &output);
        }
        // The connection to a panicked kernel becomes silent or breaks.
        _ => {}
    }
    let injected = match by {
        CrashCause::Nmi => session.machine.inject_nmi().await,
        CrashCause::Sysrq => Ok(()),
    };
    match injected {
        Err(error) => error.into(),
        Ok(()) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_fails_when_the_kernel_halts_after_a_panic_without_a_reset() {
        let check = |reset, kernel_panic| {
            let step = CrashStep {
                reset,
                ..CrashStep::default()
            };
            check_panic_setting(&step, kernel_panic).map_err(|failure| failure.what)
        };
        assert_eq!(check(false, "10"), Ok(()));
        assert_eq!(check(false, "-1"), Ok(()));
        assert_eq!(check(true, "0"), Ok(()));
        let stops = check(false, "0").unwrap_err();
        assert!(stops.contains("kernel.panic is 0"), "{stops}");
        let reboots = check(true, "-1").unwrap_err();
        assert!(reboots.contains("remove `reset: true`"), "{reboots}");
    }
}
