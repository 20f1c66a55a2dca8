//! Steps that break something: each by itself, and what can be asked of a machine that is broken.

use std::time::Duration;

use super::super::fault::{DiskStep, FaultStep, KillStep, Link, MemoryStep, NetworkStep, Undone};
use super::super::file::ScenarioFile;
use super::super::load::Step;
use super::super::step::Action;
use super::super::supply::HotplugStep;
use super::{Lint, kind};

/// One step by itself.
pub(super) fn step(lint: &mut Lint<'_>, step: &FaultStep, path: &str) {
    match step {
        FaultStep::Kill(step) => kill(lint, step, &format!("{path}.kill")),
        FaultStep::Network(step) => network(lint, step, &format!("{path}.network")),
        FaultStep::Disk(step) => disk(lint, step, &format!("{path}.disk")),
        FaultStep::Memory(MemoryStep { balloon: 0 }) => {
            let path = format!("{path}.memory.balloon");
            lint.value(&path, "a machine without memory", "`balloon` is in MiB");
        }
        FaultStep::PowerOff(step) => {
            let path = format!("{path}.power_off.command");
            let nothing = step.command.trim().is_empty();
            let hint = "for instance `sudo poweroff`";
            lint.refuse(nothing, &path, "this command does nothing", hint);
        }
        _ => {}
    }
}

fn kill(lint: &mut Lint<'_>, step: &KillStep, path: &str) {
    let who = [
        ("process", step.process.as_ref().map(drop)),
        ("command", step.command.as_ref().map(drop)),
        ("container", step.container.as_ref().map(drop)),
    ];
    kind::one(lint, who, path, "a kill step");
    let engine = step.engine.is_some() && step.container.is_none();
    let hint = "leave it away, or name a `container`";
    let message = "`engine` of what is no container";
    lint.refuse(engine, &format!("{path}.engine"), message, hint);
    /// What the kernel keeps of a name.
    const MOST: usize = 15;
    if let Some(name) = &step.process
        && (name.is_empty() || name.len() > MOST || name.contains('/'))
    {
        let message = "no process has this name: it is 1 to 15 letters without `/`";
        let hint = "`command` looks at the whole command line";
        lint.value(&format!("{path}.process"), message, hint);
    }
}

fn network(lint: &mut Lint<'_>, step: &NetworkStep, path: &str) {
    let NetworkStep {
        link, delay, loss, ..
    } = step;
    if link.is_none() && delay.is_none() && loss.is_none() {
        let hint = "write `link`, `delay` or `loss`";
        lint.key(path, "this step breaks nothing", hint);
    }
    if loss.is_some_and(|loss| loss == 0 || loss > 100) {
        let hint = "write 1 to 100, of a hundred packets";
        lint.value(&format!("{path}.loss"), "this is no loss", hint);
    }
    let disturbed = delay.is_some() || loss.is_some();
    let message = "packets are lost or late, but there is no link";
    let wrong = *link == Some(Link::Down) && disturbed;
    lint.refuse(wrong, &format!("{path}.link"), message, "leave `link` away");
    let message = "a network is well for no certain time";
    let wrong = *link == Some(Link::Up) && !disturbed && step.lasting.is_some();
    lint.refuse(wrong, &format!("{path}.for"), message, "leave it away");
    if step.interface.as_deref().is_some_and(|name| !plain(name)) {
        let path = format!("{path}.interface");
        lint.value(&path, "no interface has this name", "for instance `eth0`");
    }
}

fn plain(interface: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !interface.is_empty() && interface.chars().all(letter)
}

fn disk(lint: &mut Lint<'_>, step: &DiskStep, path: &str) {
    if !step.breaks_device() && !step.full {
        let hint =
            "write `read: error`, `write: error`, `slow` or `full: true`; `undo: disk` mends";
        lint.key(path, "this step breaks nothing", hint);
    }
    let message = "what is to fill the disk must be written, which now fails or takes for ever";
    let wrong = step.full && step.breaks_device();
    lint.refuse(
        wrong,
        &format!("{path}.full"),
        message,
        "make two steps of it, `full` first",
    );
    let bounds = Duration::from_millis(1)..=Duration::from_secs(1);
    if step.slow.is_some_and(|span| !bounds.contains(&span.0)) {
        let hint = "write `1ms` to `1s`";
        lint.value(&format!("{path}.slow"), "this cannot be done", hint);
    }
}

/// What the steps before left of the machine.
#[derive(Default)]
struct State {
    paused: bool,
    unlinked: bool,
    off: bool,
    broken: Vec<Undone>,
}

/// What a setup broke could not be mended in the machines that go on from it.
pub(super) fn in_setup(lint: &mut Lint<'_>, steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        let breaks = matches!(step.action, Action::Fault(_) | Action::PowerCut(_));
        let hint = "break it in the steps of a scenario";
        let message = "a setup breaks nothing";
        lint.refuse(breaks, &format!("steps[{number}]"), message, hint);
        let lent = matches!(
            step.action,
            Action::Hotplug(_) | Action::TimeServer(_) | Action::Client(_) | Action::NameServer(_)
        );
        let hint = "do it in the steps of a scenario";
        let message = "this would not be there in the machines that go on from a setup";
        lint.refuse(lent, &format!("steps[{number}]"), message, hint);
    }
}

/// All steps in their order.
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
            there(lint, fault, disks, &path);
            state.follow(lint, fault, &path);
        }
    }
}

fn there(lint: &mut Lint<'_>, fault: &FaultStep, disks: usize, path: &str) {
    if let FaultStep::Disk(step) = fault
        && step.disk >= disks
    {
        let message = format!("the machine is given {disks} disks, counted from 0");
        let hint = "add it to `machine.disks`, or `hotplug` it before";
        lint.key(&format!("{path}.disk"), message, hint);
    }
}

impl State {
    fn allows(&self, lint: &mut Lint<'_>, action: &Action, path: &str) {
        let hint = "it can only be the last step";
        let off = "the machine is off since the step before";
        lint.refuse(self.off, path, off, hint);
        let hint = "add `resume: {}` before it, or `pause: { for: 5s }`";
        let still = "the machine stands still since `pause`";
        lint.refuse(self.paused && needs_guest(action), path, still, hint);
        let hint =
            "add `undo: network` before it, or `for: 5s` to the step that took the link down";
        let alone = "this step needs the network, whose link is down";
        let wrong = self.unlinked && !self.paused && needs_login(action);
        lint.refuse(wrong, path, alone, hint);
    }

    fn follow(&mut self, lint: &mut Lint<'_>, fault: &FaultStep, path: &str) {
        match fault {
            FaultStep::Pause(step) => self.paused = step.lasting.is_none(),
            FaultStep::Resume(_) => {
                let hint = "`pause: {}` comes before it";
                lint.refuse(!self.paused, path, "the machine does not stand still", hint);
                self.paused = false;
            }
            FaultStep::Network(step) => {
                self.unlinked = step.link == Some(Link::Down) && step.lasting.is_none();
                self.broken.push(Undone::Network);
            }
            FaultStep::Disk(_) => self.broken.push(Undone::Disk),
            FaultStep::Clock(_) => self.broken.push(Undone::Clock),
            FaultStep::Memory(_) => self.broken.push(Undone::Memory),
            FaultStep::PowerButton(_) | FaultStep::PowerOff(_) => self.off = true,
            FaultStep::Undo(what) => self.undo(lint, *what, path),
            FaultStep::Crash(_) | FaultStep::Kill(_) => {}
        }
    }

    fn undo(&mut self, lint: &mut Lint<'_>, what: Undone, path: &str) {
        let of = |one: &Undone| what == Undone::All || what == *one;
        let some = self.broken.iter().any(of) || what == Undone::All && self.paused;
        let message = "no step before it broke this";
        lint.refuse(
            !some,
            &format!("{path}.undo"),
            message,
            "leave the step away",
        );
        self.broken.retain(|one| !of(one));
        self.unlinked &= !of(&Undone::Network);
        self.paused &= what != Undone::All;
    }
}

/// Whether a step is answered by the machine itself.
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

/// Whether a step goes over the network to the machine.
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
        // What mends the network is what is wanted.
        Action::Fault(FaultStep::Network(_)) => false,
        Action::Fault(fault) => fault.needs_login(),
    }
}
