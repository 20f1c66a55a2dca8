//! Checks of a scenario as a whole: its steps together with its machine and its start.

use super::super::collector::Lint;
use super::super::file::{ScenarioFile, Start};
use super::super::step::Step;
use super::order;

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
    if !steps.is_empty() && !steps.iter().any(|step| step.action.kind().can_fail()) {
        let hint = "add a step that checks something, e.g. `ssh: {run: ...}`";
        lint.key(
            "steps",
            "no step checks anything; the scenario cannot fail",
            hint,
        );
    }
    order::in_order(lint, head, steps);
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
        let queries = step.action.kind().is_query();
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
    let before = steps.iter().take_while(|step| !step.action.kind().boots());
    for (number, step) in before.enumerate() {
        let kind = step.action.kind();
        let message = "this step checks the boot, and a fork does not boot";
        let hint = match kind.instead_of_boot_check() {
            Some(instead) => format!("{instead}; or {hint}"),
            None => hint.to_owned(),
        };
        let path = format!("steps[{number}]");
        lint.refuse(kind.checks_boot(), &path, message, &hint);
    }
}

/// Refuses steps that need the trial's own login on a machine without the trial's key.
fn without_key(lint: &mut Lint<'_>, steps: &[Step], key: &str) {
    for (number, step) in steps.iter().enumerate() {
        let needs = step.action.kind().needs_login();
        let hint = "remove `ssh_key: false`, or log in with `password` or `key`";
        let message = "this step needs the trial's key, which the machine does not have";
        lint.refuse(needs, &format!("{key}[{number}]"), message, hint);
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::testing::{errors, read};

    #[test]
    fn scenario_is_refused_when_no_step_checks_anything() {
        assert_snapshot!(errors(
            "name: tea\nabout: tea\nsteps:\n  - serial: { send: ls }\n"
        ));
    }

    #[test]
    fn scenario_is_refused_when_it_has_no_steps() {
        assert_snapshot!(errors("name: tea\nabout: tea\nsteps: []\n"));
    }

    #[test]
    fn step_is_refused_when_it_needs_the_key_of_a_machine_without_one() {
        assert_snapshot!(errors(
            "name: tea\nabout: tea\nmachine: {ssh_key: false}\nsteps:\n  - ssh: {run: ls}\n"
        ));
    }

    #[test]
    fn steps_about_the_boot_are_refused_in_a_fork_until_it_boots() {
        let head = "name: tea\nabout: tea can be made\n";
        let steps =
            "steps:\n  - events: { failed: [] }\n  - reboot: {}\n  - events: { failed: [] }\n";
        assert_snapshot!(errors(&format!("{head}{steps}")));
        assert!(read(&format!("{head}start: cold\n{steps}")).is_ok());
        let cut = "steps:\n  - power_cut: {}\n  - events: { failed: [] }\n";
        assert!(read(&format!("{head}{cut}")).is_ok());
    }

    #[test]
    fn invariant_is_refused_when_it_changes_the_machine() {
        assert_snapshot!(errors(
            "name: tea\nabout: tea\ninvariants:\n  - ssh: { run: kettle is warm }\n  - reboot: {}\n  - ssh: { upload: { content: a, to: /b } }\nsteps:\n  - ssh: { run: make tea }\n"
        ));
    }
}
