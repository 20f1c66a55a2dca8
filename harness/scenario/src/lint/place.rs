//! Checks of where steps run: `on`, and the networks and machines that steps about networks name.

use super::super::cluster::Cluster;
use super::super::collector::Lint;
use super::super::file::ScenarioFile;
use super::super::step::{Action, CaptureStep, LinkStep, PartitionStep, Place, Step};

/// Checks where steps and invariants run. Invariants without `on` then have all machines.
pub(crate) fn placed<S>(
    lint: &mut Lint<'_>,
    head: &ScenarioFile<S>,
    cluster: &Cluster,
    (steps, invariants): (&mut [Step], &mut [Step]),
) {
    // Invalid steps are already reported, and without them the indices of the others are wrong.
    if invariants.len() == head.invariants.len() {
        for step in invariants.iter_mut().filter(|step| step.on.is_empty()) {
            step.on = cluster.machine_names().map(str::to_owned).collect();
        }
        each_placed(lint, cluster, invariants, "invariants");
    }
    if steps.len() == head.steps.len() {
        each_placed(lint, cluster, steps, "steps");
    }
}

/// Checks where the steps below a key run.
pub(crate) fn each_placed(lint: &mut Lint<'_>, cluster: &Cluster, steps: &[Step], key: &str) {
    for (number, step) in steps.iter().enumerate() {
        let path = format!("{key}[{number}]");
        if cluster.is_empty() {
            in_one_machine(lint, step, &path);
        } else {
            in_cluster(lint, cluster, step, &path);
        }
    }
}

fn in_one_machine(lint: &mut Lint<'_>, step: &Step, path: &str) {
    let message = "`on` names machines, and there are no `machines`";
    let hint = "remove it, or add `machines`";
    lint.refuse(!step.on.is_empty(), &format!("{path}.on"), message, hint);
    let about_networks = step.action.kind().place() == Place::Networks;
    let hint = "add `machines` and `networks`";
    lint.refuse(
        about_networks,
        path,
        "this step needs several machines",
        hint,
    );
}

fn in_cluster(lint: &mut Lint<'_>, cluster: &Cluster, step: &Step, path: &str) {
    match (step.action.kind().place(), step.on.as_slice()) {
        (Place::Machines, []) => {
            let names: Vec<_> = cluster.machine_names().collect();
            let hint = format!("add `on` with one or more of: {}", names.join(", "));
            lint.key(
                path,
                "`on` is missing; it names the machines of the step",
                hint,
            );
        }
        (Place::Networks, [_, ..]) => {
            let message = "this step is about a network and runs on no machine";
            lint.key(&format!("{path}.on"), message, "remove `on`");
        }
        (_, names) => on(lint, cluster, names, path),
    }
    match &step.action {
        Action::Partition(step) => partition(lint, cluster, step, &format!("{path}.partition")),
        Action::Link(step) => link(lint, cluster, step, &format!("{path}.link")),
        Action::Capture(step) => capture(lint, cluster, step, &format!("{path}.capture")),
        _ => {}
    }
}

/// Checks the machines of `on`; `path` is that of the mapping with this key.
pub(super) fn on(lint: &mut Lint<'_>, cluster: &Cluster, names: &[String], path: &str) {
    for (number, name) in names.iter().enumerate() {
        let path = format!("{path}.on[{number}]");
        cluster.has_machine(lint, name, &path);
        if names[..number].contains(name) {
            let message = format!("duplicate machine `{name}`");
            lint.value(&path, message, "remove one of them");
        }
    }
}

fn partition(lint: &mut Lint<'_>, cluster: &Cluster, step: &PartitionStep, path: &str) {
    if !cluster.has_network(lint, &step.network, &format!("{path}.network")) {
        return;
    }
    let keys = match step.between {
        Some(_) => ["between[0]", "between[1]"],
        None => ["from", "to"],
    };
    let (one, other) = step.groups();
    let mut seen: Vec<(&str, &String)> = Vec::new();
    for (key, group) in keys.into_iter().zip([&one, &other]) {
        let message = "a side of the partition without a machine";
        lint.refuse(
            group.is_empty(),
            &format!("{path}.{key}"),
            message,
            "name a machine",
        );
        for (number, name) in group.iter().enumerate() {
            let path = format!("{path}.{key}[{number}]");
            cluster.check_attached(lint, (name, &step.network), &path);
            if let Some((side, _)) = seen.iter().find(|(_, known)| *known == name) {
                let message = if *side == key {
                    format!("duplicate machine `{name}`")
                } else {
                    format!("machine `{name}` is on both sides of the partition")
                };
                lint.value(&path, message, "name each machine once");
            }
            seen.push((key, name));
        }
    }
}

fn link(lint: &mut Lint<'_>, cluster: &Cluster, step: &LinkStep, path: &str) {
    if cluster.has_network(lint, &step.network, &format!("{path}.network")) {
        let place = (step.machine.as_str(), step.network.as_str());
        cluster.check_attached(lint, place, &format!("{path}.machine"));
    }
}

fn capture(lint: &mut Lint<'_>, cluster: &Cluster, step: &CaptureStep, path: &str) {
    if !cluster.has_network(lint, &step.network, &format!("{path}.network")) {
        return;
    }
    for (key, machine) in [("from", &step.from), ("to", &step.to)] {
        if let Some(machine) = machine {
            cluster.check_attached(lint, (machine, &step.network), &format!("{path}.{key}"));
        }
    }
    let same = step.from.is_some() && step.from == step.to;
    let message = "no frame goes from a machine to itself over a network";
    lint.refuse(same, &format!("{path}.to"), message, "name another machine");
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::testing::{cluster, errors, read};

    #[test]
    fn on_is_refused_when_it_is_missing_unknown_or_of_no_use() {
        assert_snapshot!(errors(&cluster(
            "",
            "ssh: { run: ls }\n  \
             - { on: d, ssh: { run: ls } }\n  \
             - { on: [a, b, a], ssh: { run: ls } }\n  \
             - { on: a, partition: { network: lan, between: [a, b] } }\n  \
             - { on: a, undo: partition }"
        )));
    }

    #[test]
    fn on_is_refused_when_its_list_is_empty() {
        let text = errors(&cluster("", "{ on: [], ssh: { run: ls } }"));
        assert!(text.contains("`on` names no machine"), "{text}");
        assert_eq!(text.matches("error: ").count(), 1, "{text}");
    }

    #[test]
    fn on_and_networks_are_refused_in_a_scenario_with_one_machine() {
        assert_snapshot!(errors(
            "name: tea\nabout: tea\nsteps:\n  \
             - { on: a, ssh: { run: ls } }\n  \
             - partition: { network: lan, between: [a, b] }\n  \
             - undo: partition\n"
        ));
    }

    #[test]
    fn invariant_without_on_holds_on_all_machines() {
        let invariants = "invariants: [{ ssh: { run: a } }, { on: b, ssh: { run: a } }]\n";
        let text = cluster(invariants, "{ on: a, ssh: { run: ls } }");
        let scenario = read(&text).unwrap();
        assert_eq!(scenario.invariants[0].on, ["a", "b", "c"]);
        assert_eq!(scenario.invariants[1].on, ["b"]);
    }

    #[test]
    fn steps_about_networks_are_refused_when_a_name_is_unknown_or_apart() {
        assert_snapshot!(errors(&cluster(
            "",
            "partition: { network: lna, between: [a, b] }\n  \
             - partition: { network: lan, between: [a, c] }\n  \
             - partition: { network: lan, from: a, to: [b, d] }\n  \
             - link: { network: lan, machine: x, loss: 5 }\n  \
             - link: { network: wan, machine: a, loss: 5 }\n  \
             - capture: { network: wan, has: tcp, from: a, to: c }\n  \
             - capture: { network: net, has: tcp }\n  \
             - { on: a, ssh: { run: ls } }"
        )));
    }

    #[test]
    fn steps_about_networks_are_refused_when_they_have_no_effect() {
        assert_snapshot!(errors(&cluster(
            "",
            "partition: { network: lan }\n  \
             - partition: { network: lan, from: a }\n  \
             - partition: { network: lan, between: [a, b], to: b }\n  \
             - partition: { network: lan, between: [a, b, c] }\n  \
             - link: { network: lan, machine: a, for: 5s }\n  \
             - link: { network: lan, machine: a, loss: 0, duplicate: 101 }\n  \
             - capture: { network: lan }\n  \
             - capture: { network: lan, has: tpc }\n  \
             - link: { network: lan, machine: a, rate: 10 }"
        )));
    }

    #[test]
    fn sides_of_a_partition_are_refused_when_they_are_empty_or_have_a_machine_in_common() {
        assert_snapshot!(errors(&cluster(
            "",
            "partition: { network: lan, between: [a, a] }\n  \
             - partition: { network: lan, between: [a, [a, b]] }\n  \
             - partition: { network: lan, between: [a, [b, b]] }\n  \
             - partition: { network: lan, from: [], to: b }\n  \
             - capture: { network: lan, has: tcp, from: a, to: a }"
        )));
    }
}
