//! Checks of fault steps: each on its own, and in the order of the scenario (a paused machine cannot
//! answer).

use std::time::Duration;

use super::super::fault::{DiskStep, FaultStep, KillStep, Link, MemoryStep, NetworkStep, Undone};
use super::super::file::ScenarioFile;
use super::super::hotplug::HotplugStep;
use super::super::scenario::Step;
use super::super::step::Action;
use super::{Lint, kind};

/// Checks one step on its own.
pub(super) fn step(lint: &mut Lint<'_>, step: &FaultStep, path: &str) {
    match step {
        FaultStep::Kill(step) => kill(lint, step, &format!("{path}.kill")),
        FaultStep::Network(step) => network(lint, step, &format!("{path}.network")),
        FaultStep::Disk(step) => disk(lint, step, &format!("{path}.disk")),
        FaultStep::Memory(MemoryStep { balloon: 0 }) => {
            let path = format!("{path}.memory.balloon");
            lint.value(&path, "0 MiB of memory", "`balloon` is in MiB");
        }
        FaultStep::PowerOff(step) => {
            let path = format!("{path}.power_off.command");
            let empty = step.command.trim().is_empty();
            let hint = "write a command line, e.g. `sudo poweroff`";
            lint.refuse(empty, &path, "the command is empty", hint);
        }
        _ => {}
    }
}

fn kill(lint: &mut Lint<'_>, step: &KillStep, path: &str) {
    let targets = [
        ("process", step.process.as_ref().map(drop)),
        ("command", step.command.as_ref().map(drop)),
        ("container", step.container.as_ref().map(drop)),
    ];
    kind::one(lint, targets, path, "a kill step");
    let engine = step.engine.is_some() && step.container.is_none();
    let hint = "remove it, or name a `container`";
    let message = "`engine` has no effect without `container`";
    lint.refuse(engine, &format!("{path}.engine"), message, hint);
    /// The bytes that the kernel keeps of a process name (TASK_COMM_LEN without its NUL).
    const LONGEST_NAME: usize = 15;
    if let Some(name) = &step.process
        && (name.is_empty() || name.len() > LONGEST_NAME || name.contains('/'))
    {
        let message = "not a process name: it has 1 to 15 bytes and no `/`";
        let hint = "use `command` to match the whole command line";
        lint.value(&format!("{path}.process"), message, hint);
    }
}

fn network(lint: &mut Lint<'_>, step: &NetworkStep, path: &str) {
    let NetworkStep {
        link, delay, loss, ..
    } = step;
    if link.is_none() && delay.is_none() && loss.is_none() {
        let hint = "write `link`, `delay` or `loss`";
        lint.key(path, "this step injects no fault", hint);
    }
    if loss.is_some_and(|loss| loss == 0 || loss > 100) {
        let hint = "write a percentage from 1 to 100";
        lint.value(&format!("{path}.loss"), "not a packet loss", hint);
    }
    let disturbed = delay.is_some() || loss.is_some();
    let message = "`delay` and `loss` have no effect while the link is down";
    let invalid = *link == Some(Link::Down) && disturbed;
    lint.refuse(invalid, &format!("{path}.link"), message, "remove `link`");
    let message = "`for` has no effect: this step injects no fault";
    let invalid = *link == Some(Link::Up) && !disturbed && step.lasting.is_some();
    lint.refuse(invalid, &format!("{path}.for"), message, "remove it");
    if step
        .interface
        .as_deref()
        .is_some_and(|name| !is_interface(name))
    {
        let path = format!("{path}.interface");
        lint.value(
            &path,
            "not an interface name",
            "write a name such as `eth0`",
        );
    }
}

fn is_interface(interface: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !interface.is_empty() && interface.chars().all(letter)
}

fn disk(lint: &mut Lint<'_>, step: &DiskStep, path: &str) {
    if !step.affects_device() && !step.full {
        let hint = "write `read: error`, `write: error`, `slow` or `full: true`; `undo: disk` reverts them";
        lint.key(path, "this step injects no fault", hint);
    }
    let message = "`full` writes to the disk, which fails or is slow because of the other keys";
    let invalid = step.full && step.affects_device();
    lint.refuse(
        invalid,
        &format!("{path}.full"),
        message,
        "split it into two steps, `full` first",
    );
    let bounds = Duration::from_millis(1)..=Duration::from_secs(1);
    if step.slow.is_some_and(|span| !bounds.contains(&span.0)) {
        let hint = "write `1ms` to `1s`";
        lint.value(&format!("{path}.slow"), "not a valid delay of a disk", hint);
    }
}

/// The state of the machine after the steps so far.
#[derive(Default)]
struct State {
    paused: bool,
    link_down: bool,
    off: bool,
    faults: Vec<Undone>,
}

/// Refuses faults in a setup: machines that continue from its checkpoint could not revert them.
pub(super) fn in_setup(lint: &mut Lint<'_>, steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        let is_fault = matches!(step.action, Action::Fault(_) | Action::PowerCut(_));
        let hint = "move it to the steps of a scenario";
        let message = "a setup cannot inject a fault";
        lint.refuse(is_fault, &format!("steps[{number}]"), message, hint);
        let is_external = matches!(
            step.action,
            Action::Hotplug(_) | Action::TimeServer(_) | Action::Client(_) | Action::NameServer(_)
        );
        let hint = "move it to the steps of a scenario";
        let message = "this is not part of the checkpoint that scenarios continue from";
        lint.refuse(is_external, &format!("steps[{number}]"), message, hint);
    }
}

/// Checks all steps in their order.
pub(super) fn in_order<S>(lint: &mut Lint<'_>, head: &ScenarioFile<S>, steps: &[Step]) {
    let mut state = State::default();
    let mut disks = head.machine.disks.len();
    for (number, step) in steps.iter().enumerate() {
        let path = format!("steps[{number}]");
        state.allows(lint, &step.action, &path);
        if let Action::Hotplug(HotplugStep { disk: Some(_), .. }) = &step.action {
            disks += 1;
        }
        if let Action::Fault(fault) = &step.action {
            disk_exists(lint, fault, disks, &path);
            state.follow(lint, fault, &path);
        }
    }
}

fn disk_exists(lint: &mut Lint<'_>, fault: &FaultStep, disks: usize, path: &str) {
    if let FaultStep::Disk(step) = fault
        && step.disk >= disks
    {
        let message = format!("the scenario gives the machine {disks} disks, counted from 0");
        let hint = "add it to `machine.disks`, or `hotplug` it in an earlier step";
        lint.key(&format!("{path}.disk"), message, hint);
    }
}

impl State {
    fn allows(&self, lint: &mut Lint<'_>, action: &Action, path: &str) {
        let hint = "move the step that switches it off to the end";
        let off = "the previous step switched the machine off";
        lint.refuse(self.off, path, off, hint);
        let hint = "add `resume: {}` before this step, or write `pause: { for: 5s }`";
        let paused = "the machine is paused";
        lint.refuse(self.paused && needs_guest(action), path, paused, hint);
        let hint = "add `undo: network` before this step, or `for: 5s` to the step that took the link down";
        let unreachable = "this step needs the network, whose link is down";
        let invalid = self.link_down && !self.paused && needs_login(action);
        lint.refuse(invalid, path, unreachable, hint);
    }

    fn follow(&mut self, lint: &mut Lint<'_>, fault: &FaultStep, path: &str) {
        match fault {
            FaultStep::Pause(step) => self.paused = step.lasting.is_none(),
            FaultStep::Resume(_) => {
                let hint = "add `pause: {}` before this step";
                lint.refuse(!self.paused, path, "the machine is not paused", hint);
                self.paused = false;
            }
            FaultStep::Network(step) => {
                self.link_down = step.link == Some(Link::Down) && step.lasting.is_none();
                self.faults.push(Undone::Network);
            }
            FaultStep::Disk(_) => self.faults.push(Undone::Disk),
            FaultStep::Clock(_) => self.faults.push(Undone::Clock),
            FaultStep::Memory(_) => self.faults.push(Undone::Memory),
            FaultStep::PowerButton(_) | FaultStep::PowerOff(_) => self.off = true,
            FaultStep::Undo(what) => self.undo(lint, *what, path),
            FaultStep::Crash(_) | FaultStep::Kill(_) => {}
        }
    }

    fn undo(&mut self, lint: &mut Lint<'_>, what: Undone, path: &str) {
        let is_undone = |one: &Undone| what == Undone::All || what == *one;
        let any = self.faults.iter().any(is_undone) || what == Undone::All && self.paused;
        let message = "no earlier step injected this fault";
        lint.refuse(!any, &format!("{path}.undo"), message, "remove the step");
        self.faults.retain(|one| !is_undone(one));
        self.link_down &= !is_undone(&Undone::Network);
        self.paused &= what != Undone::All;
    }
}

/// Whether the guest must run for a step.
fn needs_guest(action: &Action) -> bool {
    match action {
        Action::Events(_) => false,
        Action::WaitFor(step) => step.silence.is_none(),
        Action::Fault(FaultStep::Resume(_) | FaultStep::Undo(Undone::All)) => false,
        Action::Fault(FaultStep::Disk(step)) => step.full,
        Action::Fault(FaultStep::Undo(what)) => *what != Undone::Disk,
        _ => true,
    }
}

/// Whether a step needs the machine's network.
fn needs_login(action: &Action) -> bool {
    match action {
        Action::Ssh(_)
        | Action::Docker(_)
        | Action::Reboot(_)
        | Action::PowerCut(_)
        | Action::TimeServer(_)
        | Action::Client(_)
        | Action::NameServer(_) => true,
        Action::WaitFor(step) => step.ssh.is_some() || step.container.is_some(),
        Action::Serial(_) | Action::Events(_) | Action::Hotplug(_) => false,
        // It may be the step that brings the link up again.
        Action::Fault(FaultStep::Network(_)) => false,
        Action::Fault(fault) => fault.needs_login(),
    }
}
