//! A panic of the kernel that is meant, and the boot after it.

use std::sync::{Arc, LazyLock};

use regex::Regex;

use scenario::{Account, CrashCause, CrashStep};

use super::super::super::deadline::Deadline;
use super::super::super::session::Session;
use super::super::super::step_failure::StepFailure;
use super::super::reboot::{FIRST, boot_id};

static PANIC: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new("Kernel panic - not syncing: .*"));

pub(super) async fn perform(
    step: &CrashStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let before = boot_id(session, deadline).await?;
    as_told(step, &kernel_panic(session, deadline).await?)?;
    session.machine.expect_reboot().await;
    session.machine.serial().expect_panic();
    let ready = come_back(step, session, deadline).await;
    session.machine.serial().end_expected_panic();
    session.forget();
    if let Err(fault) = ready {
        return Err(fault.with("boot id before", before));
    }
    let after = boot_id(session, deadline).await?;
    if after == before {
        let same = "the machine did not boot again: its boot id is the same";
        return Err(StepFailure::new(same).with("boot id", after));
    }
    Ok(())
}

/// After how many seconds this kernel reboots; 0 for never.
async fn kernel_panic(
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<String, StepFailure> {
    let seconds = session.as_root("cat /proc/sys/kernel/panic", deadline);
    Ok(seconds.await?.trim().to_owned())
}

/// Whether the kernel does what the scenario says of it: reboot, or stop until somebody resets it.
fn as_told(step: &CrashStep, kernel_panic: &str) -> Result<(), StepFailure> {
    let what = match (kernel_panic == "0", step.reset) {
        (true, false) => {
            "the machine does not come back after a panic: kernel.panic is 0\n\
             hint: boot with `panic=10`, or write `crash: { reset: true }` to have it reset by hand"
        }
        (false, true) => {
            "the machine reboots by itself after a panic, so nobody resets it\n\
             hint: remove `reset: true`"
        }
        _ => return Ok(()),
    };
    Err(StepFailure::new(what).with("kernel.panic", kernel_panic))
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
    // From its first sign of life on a new kernel is watched as any other.
    tokio::select! {
        begun = machine.wait_event(FIRST, deadline.left()) => drop(begun?),
        ready = machine.wait_ready(deadline.left()) => return Ok(ready?),
    }
    machine.serial().end_expected_panic();
    Ok(machine.wait_ready(deadline.left()).await?)
}

/// Comes back only with why there will be no panic.
async fn cause(by: CrashCause, session: &mut Session<'_>, deadline: &Deadline) -> StepFailure {
    let command = match by {
        CrashCause::Sysrq => "echo c > /proc/sysrq-trigger",
        CrashCause::Nmi => "echo 1 > /proc/sys/kernel/unknown_nmi_panic",
    };
    match session.run(command, Account::Root, deadline).await {
        Ok(output) if output.exit != Some(0) => {
            return StepFailure::new("the kernel cannot be made to panic")
                .with_output(command, &output);
        }
        // The connection to a kernel that panicked falls silent, or breaks.
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
    fn a_kernel_that_stops_after_a_panic_is_red_unless_the_scenario_resets_it() {
        let told = |reset, kernel_panic| {
            let step = CrashStep {
                reset,
                ..CrashStep::default()
            };
            as_told(&step, kernel_panic).map_err(|fault| fault.what)
        };
        assert_eq!(told(false, "10"), Ok(()));
        assert_eq!(told(false, "-1"), Ok(()));
        assert_eq!(told(true, "0"), Ok(()));
        let stops = told(false, "0").unwrap_err();
        assert!(stops.contains("kernel.panic is 0"), "{stops}");
        let reboots = told(true, "-1").unwrap_err();
        assert!(reboots.contains("remove `reset: true`"), "{reboots}");
    }
}
