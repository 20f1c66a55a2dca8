//! Checks of steps in their order: a machine that is paused, off or unreachable cannot answer.

use super::super::collector::Lint;
use super::super::file::ScenarioFile;
use super::super::step::{Effect, MachineState, Step, StepKind};

/// Checks all steps in their order.
pub(super) fn in_order<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    let mut state = MachineState {
        disks: head.machine.disks.len(),
        ..MachineState::default()
    };
    for (number, step) in steps.iter().enumerate() {
        let path = format!("steps[{number}]");
        let kind = step.action.kind();
        allows(&state, kind, lint, &path);
        kind.follow(&mut state, lint, &path);
    }
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
    use crate::testing::{errors, read};

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
}
