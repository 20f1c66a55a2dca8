//! Checks of `wait_for` steps and of `ready`.

use super::super::step::{WaitAction, WaitForStep};
use super::{Lint, expectation, kind};

pub(super) fn step(lint: &mut Lint<'_>, step: &WaitForStep, path: &str, what: &str) {
    let action = kind::one(lint, step.kinds(), path, what);
    if let Some(command) = &step.until_failed {
        let path = format!("{path}.until_failed");
        let polls = matches!(action, Some(WaitAction::Ssh(_) | WaitAction::Container(_)));
        let message =
            "`until_failed` needs `ssh` or `container`; the other kinds do not poll the machine";
        lint.refuse(!polls, &path, message, "remove it");
        let empty = command.trim().is_empty();
        let hint = "write a command line, e.g. `systemctl is-failed NAME`";
        lint.refuse(empty, &path, "the command is empty", hint);
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
    let message = "`wait_for` cannot compare a snapshot";
    let hint = "wait for a part of the text, then compare the snapshot in another step";
    lint.refuse(snapshot, &format!("{stdout}.snapshot"), message, hint);
}
