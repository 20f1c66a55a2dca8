//! The kind of a step: exactly one of several optional keys.

use super::super::docker::{DockerAction, DockerStep};
use super::super::fault::FaultStep as Fault;
use super::super::hotplug::{HotplugStep, Plugged};
use super::super::step::{Action, StepFile, WaitAction, WaitForStep};
use super::Lint;

/// The kind of a step.
pub(super) fn of_step(lint: &mut Lint<'_>, step: StepFile, path: &str) -> Option<Action> {
    let fault = |fault: Option<Fault>| fault.map(Action::Fault);
    let kinds = [
        ("ssh", step.ssh.map(Action::Ssh)),
        ("serial", step.serial.map(Action::Serial)),
        ("docker", step.docker.map(Box::new).map(Action::Docker)),
        ("reboot", step.reboot.map(Action::Reboot)),
        ("power_cut", step.power_cut.map(Action::PowerCut)),
        ("wait_for", step.wait_for.map(Action::WaitFor)),
        ("events", step.events.map(Action::Events)),
        ("hotplug", step.hotplug.map(Action::Hotplug)),
        ("time_server", step.time_server.map(Action::TimeServer)),
        ("client", step.client.map(Action::Client)),
        ("name_server", step.name_server.map(Action::NameServer)),
        ("crash", fault(step.crash.map(Fault::Crash))),
        ("kill", fault(step.kill.map(Fault::Kill))),
        ("pause", fault(step.pause.map(Fault::Pause))),
        ("resume", fault(step.resume.map(Fault::Resume))),
        ("network", fault(step.network.map(Fault::Network))),
        ("disk", fault(step.disk.map(Fault::Disk))),
        ("clock", fault(step.clock.map(Fault::Clock))),
        ("memory", fault(step.memory.map(Fault::Memory))),
        (
            "power_button",
            fault(step.power_button.map(Fault::PowerButton)),
        ),
        ("power_off", fault(step.power_off.map(Fault::PowerOff))),
        ("undo", fault(step.undo.map(Fault::Undo))),
    ];
    one(lint, kinds, path, "a step")
}

/// Returns the one kind that is given; reports none and several as errors.
pub(super) fn one<T, const N: usize>(
    lint: &mut Lint<'_>,
    kinds: [(&'static str, Option<T>); N],
    path: &str,
    what: &str,
) -> Option<T> {
    let known = kinds
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let mut given = kinds
        .into_iter()
        .filter_map(|(name, kind)| Some((name, kind?)));
    let Some((first, kind)) = given.next() else {
        lint.key(
            path,
            format!("{what} without a kind"),
            format!("add one of {known}"),
        );
        return None;
    };
    if let Some((second, _)) = given.next() {
        let message = format!("{what} has exactly one kind; this one already has `{first}`");
        let kind = what.rsplit(' ').next().unwrap_or(what);
        let hint = format!("split it into two {kind}s");
        lint.key(&format!("{path}.{second}"), message, hint);
        return None;
    }
    Some(kind)
}

impl DockerStep {
    pub(super) fn kinds(&self) -> [(&'static str, Option<DockerAction<'_>>); 4] {
        [
            ("run", self.run.as_ref().map(DockerAction::Run)),
            ("ps", self.ps.as_ref().map(DockerAction::Ps)),
            ("exec", self.exec.as_ref().map(DockerAction::Exec)),
            ("import", self.import.as_ref().map(DockerAction::Import)),
        ]
    }

    /// What the step does; `None` only for a step that the lint refused.
    pub fn action(&self) -> Option<DockerAction<'_>> {
        self.kinds().into_iter().find_map(|(_, kind)| kind)
    }
}

impl HotplugStep {
    pub(super) fn kinds(&self) -> [(&'static str, Option<Plugged<'_>>); 2] {
        [
            ("disk", self.disk.as_ref().map(Plugged::Disk)),
            ("network", self.network.map(Plugged::Network)),
        ]
    }

    /// What the step plugs in; `None` only for a step that the lint refused.
    pub fn plugged(&self) -> Option<Plugged<'_>> {
        self.kinds().into_iter().find_map(|(_, kind)| kind)
    }
}

impl WaitForStep {
    pub(super) fn kinds(&self) -> [(&'static str, Option<WaitAction<'_>>); 5] {
        [
            ("ssh", self.ssh.as_ref().map(WaitAction::Ssh)),
            ("serial", self.serial.as_ref().map(WaitAction::Serial)),
            ("event", self.event.as_deref().map(WaitAction::Event)),
            (
                "container",
                self.container.as_ref().map(WaitAction::Container),
            ),
            ("silence", self.silence.map(WaitAction::Silence)),
        ]
    }

    /// What the step waits for; `None` only for a step that the lint refused.
    pub fn action(&self) -> Option<WaitAction<'_>> {
        self.kinds().into_iter().find_map(|(_, kind)| kind)
    }
}
