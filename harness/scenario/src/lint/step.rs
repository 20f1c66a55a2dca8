//! Checks of one step, and of the kinds that have no file of their own.

use super::super::hotplug::Plugged;
use super::super::step::{Action, EventsStep, RebootStep, SerialStep, StepFile};
use super::machine::{absolute, disk};
use super::{Lint, client, docker, expectation, fault, kind, ssh, wait};

/// Checks one step: its kind, and the keys of that kind.
pub(crate) fn step(lint: &mut Lint<'_>, step: StepFile, path: &str) -> Option<Action> {
    let action = kind::of_step(lint, step, path)?;
    match &action {
        Action::Ssh(step) => ssh::step(lint, step, &format!("{path}.ssh")),
        Action::Serial(step) => serial(lint, step, &format!("{path}.serial")),
        Action::Docker(step) => docker::step(lint, step, &format!("{path}.docker")),
        Action::Reboot(step) => reboot(lint, step, &format!("{path}.reboot")),
        Action::PowerCut(_) => {}
        Action::WaitFor(step) => {
            wait::step(lint, step, &format!("{path}.wait_for"), "a wait_for step")
        }
        Action::Events(step) => events(lint, step, &format!("{path}.events")),
        Action::Hotplug(step) => {
            let path = format!("{path}.hotplug");
            let one = kind::one(lint, step.kinds(), &path, "a hotplug step");
            if let Some(Plugged::Disk(plugged)) = one {
                disk(lint, plugged, &format!("{path}.disk"));
            }
        }
        Action::TimeServer(step) => {
            absolute(lint, &step.tell, &format!("{path}.time_server.tell"));
        }
        Action::Client(step) => client::step(lint, step, &format!("{path}.client")),
        Action::NameServer(step) => {
            absolute(lint, &step.tell, &format!("{path}.name_server.tell"));
        }
        Action::Fault(step) => fault::step(lint, step, path),
    }
    Some(action)
}

fn serial(lint: &mut Lint<'_>, step: &SerialStep, path: &str) {
    let dialogue = step.send.is_some() || step.expect.is_some();
    if !dialogue && step.login.is_none() && step.run.is_none() {
        lint.key(
            path,
            "this step does nothing",
            "write `run`, `send`, `expect` or `login`",
        );
    }
    let both = (dialogue || step.run.is_some()) && step.login.is_some();
    let hint = "split it into two steps";
    lint.refuse(
        both,
        &format!("{path}.login"),
        "`login` cannot be combined with `run`, `send` or `expect`",
        hint,
    );
    let both = dialogue && step.run.is_some();
    let message = "`run` cannot be combined with `send` or `expect`";
    lint.refuse(both, &format!("{path}.run"), message, hint);
    let empty = step.run.as_ref().is_some_and(|run| run.trim().is_empty());
    let message = "the command is empty";
    lint.refuse(
        empty,
        &format!("{path}.run"),
        message,
        "write a command line",
    );
    for (key, given) in [
        ("exit", step.exit.is_some()),
        ("stdout", step.stdout.is_some()),
    ] {
        let message = format!("`{key}` has no effect without `run`");
        let hint = "write `run` instead of `send`";
        lint.refuse(
            given && step.run.is_none(),
            &format!("{path}.{key}"),
            &message,
            hint,
        );
    }
    expectation::text(lint, step.stdout.as_ref(), &format!("{path}.stdout"));
}

fn reboot(lint: &mut Lint<'_>, step: &RebootStep, path: &str) {
    if step
        .command
        .as_ref()
        .is_some_and(|command| command.trim().is_empty())
    {
        lint.value(
            &format!("{path}.command"),
            "the command is empty",
            "write a command line, or `reboot: {}` for the default",
        );
    }
}

fn events(lint: &mut Lint<'_>, step: &EventsStep, path: &str) {
    if step.order.is_empty() && step.failed.is_none() {
        lint.key(
            path,
            "this step checks nothing",
            "write `order: [...]` or `failed: []`",
        );
    }
}
