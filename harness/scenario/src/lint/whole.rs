//! Checks of a scenario as a whole: its steps together with its machine and its start.

use super::super::fault::FaultStep;
use super::super::file::{ScenarioFile, Start};
use super::super::scenario::Step;
use super::super::step::Action;
use super::{Lint, fault};

/// Checks the scenario as a whole: whether it can fail, and whether it can log in.
pub(crate) fn whole<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    if head.steps.is_empty() {
        lint.key(
            "steps",
            "no steps; the scenario cannot fail",
            "add a step that checks something",
        );
    }
    if steps.len() != head.steps.len() {
        // Invalid steps are already reported, and without them the indices of the others are wrong.
        return;
    }
    if !steps.is_empty() && !steps.iter().any(checks) {
        let hint = "add a step that checks something, e.g. `ssh: {run: ...}`";
        lint.key(
            "steps",
            "no step checks anything; the scenario cannot fail",
            hint,
        );
    }
    fault::in_order(lint, head, steps);
    if !head.machine.ssh_key {
        without_key(lint, steps, "steps");
    }
    if head.start == Start::Fork {
        forked(lint, head, steps);
    }
}

/// Checks that invariants only query the machine: they run many times in the background.
pub(crate) fn invariants<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    if steps.len() != head.invariants.len() {
        return;
    }
    if !head.machine.ssh_key {
        without_key(lint, steps, "invariants");
    }
    for (number, step) in steps.iter().enumerate() {
        let queries = match &step.action {
            Action::Ssh(step) => step.run.is_some(),
            Action::Docker(step) => step.ps.is_some() || step.exec.is_some(),
            _ => false,
        };
        let hint = "write `ssh: {run: ...}`, `docker: {ps: ...}` or `docker: {exec: ...}`";
        let message = "an invariant can only query the machine";
        lint.refuse(!queries, &format!("invariants[{number}]"), message, hint);
    }
}

/// Checks a scenario that starts from a fork: it needs the trial's key, and did not boot itself.
fn forked<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    let hint = "add `start: cold`";
    let message = "a machine without the trial's key cannot be forked";
    lint.refuse(!head.machine.ssh_key, "machine.ssh_key", message, hint);
    about_the_boot(lint, steps, hint);
}

/// Refuses steps about the boot in a machine that did not boot itself.
pub(super) fn about_the_boot(lint: &mut Lint<'_>, steps: &[Step], hint: &str) {
    let rebooted = |step: &Step| {
        let crash = |action: &Action| matches!(action, Action::Fault(FaultStep::Crash(_)));
        matches!(step.action, Action::Reboot(_) | Action::PowerCut(_)) || crash(&step.action)
    };
    let before = steps.iter().take_while(|step| !rebooted(step));
    for (number, step) in before.enumerate() {
        let about_boot = match &step.action {
            Action::Events(_) => true,
            Action::WaitFor(step) => step.event.is_some() || step.serial.is_some(),
            _ => false,
        };
        let message = "this step checks the boot, and a fork does not boot";
        let serial = matches!(&step.action, Action::WaitFor(step) if step.serial.is_some());
        let hint = if serial {
            format!("write `serial: {{ expect: ... }}` for console output from here on; or {hint}")
        } else {
            hint.to_owned()
        };
        lint.refuse(about_boot, &format!("steps[{number}]"), message, &hint);
    }
}

/// Whether the machine can make a step fail.
fn checks(step: &Step) -> bool {
    match &step.action {
        Action::Serial(step) => step.expect.is_some() || step.login.is_some() || step.run.is_some(),
        Action::Fault(step) => step.checks(),
        Action::Hotplug(_) | Action::TimeServer(_) | Action::NameServer(_) => false,
        _ => true,
    }
}

/// Refuses steps that need the trial's own login on a machine without the trial's key.
fn without_key(lint: &mut Lint<'_>, steps: &[Step], key: &str) {
    for (number, step) in steps.iter().enumerate() {
        let needs = match &step.action {
            Action::Ssh(step) => step.password.is_none() && step.key.is_none(),
            Action::Docker(_)
            | Action::Reboot(_)
            | Action::TimeServer(_)
            | Action::Client(_)
            | Action::NameServer(_) => true,
            Action::WaitFor(step) => step.ssh.is_some() || step.container.is_some(),
            Action::Serial(_) | Action::PowerCut(_) | Action::Events(_) | Action::Hotplug(_) => {
                false
            }
            Action::Fault(step) => step.needs_login(),
        };
        let hint = "remove `ssh_key: false`, or log in with `password` or `key`";
        let message = "this step needs the trial's key, which the machine does not have";
        lint.refuse(needs, &format!("{key}[{number}]"), message, hint);
    }
}
