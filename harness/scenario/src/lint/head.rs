//! Checks of the top level of scenario and setup files.

use yaml::closest;

use super::super::cluster::Cluster;
use super::super::collector::Lint;
use super::super::file::ScenarioFile;
use super::super::known_failure::KnownFailure;
use super::super::setup::SetupFile;
use super::super::step::{Step, StepKind as _};
use super::machine::machine;
use super::order;
use super::place::each_placed;
use super::whole::about_the_boot;

/// Checks the head: names, profiles, machine.
pub(crate) fn head<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, profiles: &[String]) {
    named(
        lint,
        &head.name,
        &head.about,
        "write one sentence about what it proves",
    );
    if head.profiles.is_empty() {
        lint.key(
            "profiles",
            "no profiles; the scenario never runs",
            "remove the key for the default, `[q35]`",
        );
    }
    named_profiles(lint, head, profiles);
    if let Some(known) = &head.known_failure {
        known_failure(lint, known);
    }
    machine(lint, &head.machine);
    for (number, file) in head.collect.iter().enumerate() {
        lint.absolute(file, &format!("collect[{number}]"));
    }
    if let Some(ready) = &head.ready {
        ready.check(lint, "ready", "`ready`");
        let message = "this needs a login, and the machine has no key of the trial";
        let hint = "wait for `serial` or `event`";
        lint.refuse(
            ready.needs_login() && !head.machine.ssh_key,
            "ready",
            message,
            hint,
        );
        let message = "silence does not mean that the machine is ready";
        let hint = "wait for `ssh`, `serial`, `event` or `container`";
        lint.refuse(ready.silence.is_some(), "ready.silence", message, hint);
    }
}

fn named(lint: &mut Lint<'_>, name: &str, about: &str, about_hint: &str) {
    let stem = lint.document.file().file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy().into_owned();
    if name != stem {
        let message = format!("the name is `{name}` but the file is `{stem}.yaml`");
        let hint = format!("write `name: {stem}`, or rename the file");
        lint.value("name", message, hint);
    }
    if about.trim().is_empty() {
        lint.value("about", "`about` is empty", about_hint);
    }
}

/// Checks a setup: its head, and its steps.
pub(crate) fn setup<S>(
    lint: &mut Lint<'_>,
    head: &SetupFile<S>,
    cluster: &Cluster,
    steps: &[Step],
) {
    named(
        lint,
        &head.name,
        &head.about,
        "write one sentence about the state that it leaves",
    );
    machine(lint, &head.machine);
    if head.steps.is_empty() {
        let hint = "add a step; a scenario can have `machine` without a setup";
        lint.key("steps", "no steps", hint);
    }
    if steps.len() == head.steps.len() {
        let hint = "check the boot in a scenario with `start: cold`";
        about_the_boot(lint, steps, hint);
        each_placed(lint, cluster, steps, "steps");
        order::in_setup(lint, steps);
    }
}

fn known_failure(lint: &mut Lint<'_>, known: &KnownFailure) {
    for (key, text, hint) in [
        (
            "reason",
            &known.reason,
            "write one sentence about why it fails",
        ),
        (
            "ticket",
            &known.ticket,
            "write a link or a number of the ticket",
        ),
    ] {
        if text.trim().is_empty() {
            let path = format!("known_failure.{key}");
            lint.value(&path, format!("`{key}` is empty"), hint);
        }
    }
}

/// Checks that each profile of the head exists and is listed once.
fn named_profiles<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, profiles: &[String]) {
    let mut seen: Vec<&String> = Vec::new();
    for (key, list) in [
        ("profiles", &head.profiles),
        ("more_profiles", &head.more_profiles),
    ] {
        for (number, wanted) in list.iter().enumerate() {
            let path = format!("{key}[{number}]");
            if !profiles.contains(wanted) {
                let hint = known_profiles(wanted, profiles);
                lint.value(&path, format!("unknown profile `{wanted}`"), hint);
            }
            if seen.contains(&wanted) {
                let message = format!("duplicate profile `{wanted}`");
                lint.value(&path, message, "remove one of them");
            }
            seen.push(wanted);
        }
    }
}

fn known_profiles(wanted: &str, profiles: &[String]) -> String {
    let list = format!("`qemu-profiles/` contains: {}", profiles.join(", "));
    match closest(wanted, profiles.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::testing::{GOOD, errors, read};

    #[test]
    fn ready_condition_and_disks_are_refused_when_they_are_invalid() {
        let steps = "steps: [{ serial: { expect: a } }]\n";
        assert_snapshot!(errors(&format!(
            "name: tea\nabout: tea\nstart: cold\nready: {{ ssh: {{ run: a }} }}\nmachine:\n  ssh_key: false\n  disks:\n    - {{ size: 16, partition: 'a \"b\"' }}\n    - {{ size: 2, partition: b }}\n{steps}"
        )));
        assert_snapshot!(errors(&format!(
            "name: tea\nabout: tea\nready: {{ serial: a, event: init }}\n{steps}"
        )));
    }

    #[test]
    fn silence_is_refused_as_the_ready_condition() {
        let text = "name: tea\nabout: tea\nready: { silence: 1s }\nsteps:\n  - ssh: { run: ls }\n";
        let text = errors(text);
        assert!(
            text.contains("does not mean that the machine is ready"),
            "{text}"
        );
    }

    #[test]
    fn known_failure_is_refused_when_reason_ticket_or_date_is_missing() {
        let known = |text: &str| format!("{}known_failure: {text}\n", GOOD.trim_start());
        let good = read(&known(
            "{ reason: no water, ticket: 'KETTLE-7', until: 2027-01-31 }",
        ));
        assert_eq!(good.unwrap().known_failure.unwrap().ticket, "KETTLE-7");
        assert_snapshot!(errors(&known(
            "{ reason: '', ticket: ' ', until: 2027-01-31 }"
        )));
        assert_snapshot!(errors(&known(
            "{ reason: no water, ticket: '7', until: 31.1.2027 }"
        )));
        assert_snapshot!(errors(&known("{ reason: no water, until: 2027-01-31 }")));
    }
}
