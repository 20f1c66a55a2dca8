//! Checks of steps in their order: a machine that is paused, off or unreachable cannot answer.

use std::collections::BTreeMap;

use super::super::cluster::Cluster;
use super::super::collector::Lint;
use super::super::file::ScenarioFile;
use super::super::step::{Effect, MachineState, Place, Step, StepKind, Undone};

/// Checks all steps in their order.
pub(super) fn in_order<S>(
    lint: &mut Lint<'_>,
    head: &ScenarioFile<S>,
    cluster: &Cluster,
    steps: &[Step],
) {
    let machine = || MachineState {
        disks: head.machine.disks.len(),
        ..MachineState::default()
    };
    let mut states = States {
        unnamed: machine(),
        machines: cluster
            .machine_names()
            .map(|name| (name, machine()))
            .collect(),
        networks: MachineState::default(),
    };
    for (number, step) in steps.iter().enumerate() {
        states.follow(lint, step, &format!("steps[{number}]"));
    }
}

/// The states after the steps so far.
struct States<'a> {
    /// That of the machine of a scenario without `machines`.
    unnamed: MachineState,
    /// Those of a cluster.
    machines: BTreeMap<&'a str, MachineState>,
    /// The faults of the networks.
    networks: MachineState,
}

impl States<'_> {
    fn follow(&mut self, lint: &mut Lint<'_>, step: &Step, path: &str) {
        let kind = step.action.kind();
        if self.machines.is_empty() {
            follow(&mut self.unnamed, kind, lint, path);
            return;
        }
        match kind.place() {
            Place::Networks => follow(&mut self.networks, kind, lint, path),
            Place::Any if step.on.is_empty() => {
                let all = self.machines.values_mut().chain([&mut self.networks]);
                MachineState::undo_in(all.collect(), Undone::All, lint, path);
            }
            Place::Any | Place::Machines => {
                for name in &step.on {
                    let count = lint.errors.len();
                    if let Some(state) = self.machines.get_mut(name.as_str()) {
                        follow(state, kind, lint, path);
                    }
                    lint.prefix_errors(count, &format!("on `{name}`: "));
                }
            }
        }
    }
}

fn follow(state: &mut MachineState, kind: &dyn StepKind, lint: &mut Lint<'_>, path: &str) {
    allows(state, kind, lint, path);
    kind.follow(state, lint, path);
}

fn allows(state: &MachineState, kind: &dyn StepKind, lint: &mut Lint<'_>, path: &str) {
    let hint = "move the step that switches it off to the end";
    let off = "the previous step switched the machine off";
    lint.refuse(state.off, path, off, hint);
    let hint = "add `resume: {}` before this step, or write `pause: { for: 5s }`";
    let paused = "the machine is paused";
    lint.refuse(state.paused && kind.needs_guest(), path, paused, hint);
    let hint =
        "add `undo: network` before this step, or `for: 5s` to the step that took the link down";
    let unreachable = "this step needs the network, whose link is down";
    let invalid = state.link_down && !state.paused && kind.needs_network();
    lint.refuse(invalid, path, unreachable, hint);
}

/// Refuses faults in a setup: machines that continue from its checkpoint could not revert them.
pub(super) fn in_setup(lint: &mut Lint<'_>, steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        let message = match step.action.kind().effect() {
            Effect::Guest => continue,
            Effect::Fault => "a setup cannot inject a fault",
            Effect::Host => "this is not part of the checkpoint that scenarios continue from",
        };
        let hint = "move it to the steps of a scenario";
        lint.key(&format!("steps[{number}]"), message, hint);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{cluster, errors, read};

    #[test]
    fn step_is_refused_when_the_machine_cannot_answer() {
        let head = "name: tea\nabout: tea\nmachine: { disks: [{ size: 16 }] }\nsteps:\n";
        let ls = "  - ssh: { run: ls }\n";
        for (steps, expected) in [
            ("  - pause: {}\n", "machine is paused"),
            ("  - network: { link: down }\n", "whose link is down"),
            ("  - power_button: {}\n", "switched the machine off"),
            (
                "  - power_off: { command: poweroff }\n",
                "switched the machine off",
            ),
        ] {
            let text = errors(&format!("{head}{steps}{ls}"));
            assert!(
                text.contains(expected) && text.contains("tea.yaml:6"),
                "{text}"
            );
            assert!(read(&format!("{head}{ls}{steps}")).is_ok(), "{steps}");
        }
        for steps in [
            "  - pause: {}\n  - disk: { read: error }\n  - resume: {}\n",
            "  - pause: {}\n  - wait_for: { silence: 1s }\n  - resume: {}\n",
            "  - pause: { for: 1s }\n",
            "  - network: { link: down }\n  - serial: { send: ls }\n  - undo: network\n",
            "  - network: { link: down }\n  - network: { link: up }\n",
            "  - network: { link: down, for: 1s }\n",
            "  - hotplug: { disk: { size: 16 } }\n  - disk: { disk: 1, read: error }\n",
        ] {
            assert!(read(&format!("{head}{steps}{ls}")).is_ok(), "{steps}");
        }
        for (steps, expected) in [
            ("  - resume: {}\n", "machine is not paused"),
            ("  - undo: clock\n", "no earlier step injected this fault"),
            (
                "  - disk: { disk: 1, read: error }\n",
                "gives the machine 1 disks",
            ),
        ] {
            let text = errors(&format!("{head}{ls}{steps}"));
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn order_is_checked_for_each_machine_of_a_cluster() {
        let ls = "- { on: [a, b], ssh: { run: ls } }";
        for (steps, expected) in [
            ("{ on: a, pause: {} }", "on `a`: the machine is paused"),
            ("{ on: [a, b], pause: {} }", "on `b`: the machine is paused"),
            (
                "{ on: b, network: { link: down } }",
                "on `b`: this step needs the network",
            ),
            (
                "{ on: b, power_button: {} }",
                "on `b`: the previous step switched",
            ),
            (
                "{ on: a, memory: { balloon: 9 } }\n  - { on: b, undo: memory }",
                "on `b`: no earlier step injected this fault",
            ),
            ("undo: link", "no earlier step injected this fault"),
            ("undo: all", "no earlier step injected this fault"),
            (
                "link: { network: lan, machine: a }\n  - undo: link",
                "no earlier step injected this fault",
            ),
        ] {
            let text = errors(&cluster("", &format!("{steps}\n  {ls}")));
            assert!(text.contains(expected), "{text}");
        }
        let partition = "partition: { network: lan, between: [a, b] }";
        for steps in [
            "{ on: c, power_button: {} }",
            "{ on: c, pause: {} }",
            "{ on: a, pause: {} }\n  - undo: all",
            &format!("{partition}\n  - undo: partition"),
            &format!("{partition}\n  - undo: all"),
            &format!("{partition}\n  - {{ on: a, pause: {{ for: 1s }} }}\n  - undo: all"),
            "link: { network: lan, machine: a, loss: 5 }\n  - undo: link",
        ] {
            let text = cluster("", &format!("{steps}\n  {ls}"));
            assert!(read(&text).is_ok(), "{steps}: {}", errors(&text));
        }
    }
}
