//! Steps that wait.

use super::super::step::{WaitAction, WaitForStep};
use super::{Lint, expectation, kind};

pub(super) fn step(lint: &mut Lint<'_>, step: &WaitForStep, path: &str, what: &str) {
    let action = kind::one(lint, step.kinds(), path, what);
    if let Some(command) = &step.until_failed {
        let path = format!("{path}.until_failed");
        let asks = matches!(action, Some(WaitAction::Ssh(_) | WaitAction::Container(_)));
        let message = "only waiting for `ssh` or a `container` asks the machine now and then";
        lint.refuse(!asks, &path, message, "leave it away");
        let nothing = command.trim().is_empty();
        let hint = "for instance `systemctl is-failed NAME`";
        lint.refuse(nothing, &path, "this command does nothing", hint);
    }
    let Some(WaitAction::Ssh(wait)) = action else {
        return;
    };
    expectation::exit(lint, wait.exit.map(i64::from), &format!("{path}.ssh.exit"));
    let stdout = format!("{path}.ssh.stdout");
    expectation::text(lint, wait.stdout.as_ref(), &stdout);
    let snapshot = wait
        .stdout
        .as_ref()
        .is_some_and(|expected| expected.snapshot.is_some());
    let message = "a snapshot cannot be waited for";
    let hint = "wait for something in the text, then compare in a step of its own";
    lint.refuse(snapshot, &format!("{stdout}.snapshot"), message, hint);
}
