//! Titles of steps without a name.

mod fault;

use crate::{
    Action, DockerAction, DockerStep, EngineName, Plugged, SerialStep, SshStep, Step, WaitAction,
};

impl Step {
    /// The step in one line: its name, or a description of its action.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| action(&self.action))
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Ssh(step) => ssh(step),
        Action::Serial(step) => serial(step),
        Action::Docker(step) => docker(step),
        Action::Reboot(_) => "reboot".into(),
        Action::PowerCut(_) => "power cut".into(),
        Action::WaitFor(step) => match step.action() {
            Some(WaitAction::Ssh(wait)) => format!("wait for: {}", short(&wait.run)),
            Some(WaitAction::Serial(pattern)) => format!("wait for /{}/ on serial", pattern.0),
            Some(WaitAction::Event(stage)) => format!("wait for the boot event {stage}"),
            Some(WaitAction::Container(wait)) => format!("wait for the container {}", wait.name),
            Some(WaitAction::Silence(span)) => {
                format!("no answer for {}", humantime::format_duration(span.0))
            }
            None => "wait for".into(),
        },
        Action::Events(_) => "boot events".into(),
        Action::Hotplug(step) => match step.plugged() {
            Some(Plugged::Disk(disk)) => format!("plug in a disk of {} MiB", disk.size),
            Some(Plugged::Network(network)) => format!("plug in a network card on {network}"),
            None => "plug in".into(),
        },
        Action::TimeServer(_) => "a time server".into(),
        Action::Client(step) => format!("client: {}", short(&step.run)),
        Action::NameServer(_) => "a name server".into(),
        Action::Fault(step) => fault::fault(step),
    }
}

fn serial(step: &SerialStep) -> String {
    let typed = step.run.as_ref().or(step.send.as_ref());
    match (&step.login, typed, &step.expect) {
        (Some(login), ..) => format!("serial: log in as {}", login.user),
        (None, Some(typed), _) => format!("serial: {}", short(typed)),
        (None, None, Some(pattern)) => format!("serial: expect /{}/", pattern.0),
        (None, None, None) => "serial".into(),
    }
}

fn ssh(step: &SshStep) -> String {
    match (&step.run, &step.upload) {
        (Some(run), _) => format!("ssh: {}", short(run)),
        (None, Some(upload)) => format!("ssh: send {}", upload.to),
        (None, None) => "ssh: refused login".into(),
    }
}

fn docker(step: &DockerStep) -> String {
    let engine = match step.engine {
        EngineName::System => "system-docker",
        EngineName::User => "docker",
    };
    let engine = match &step.tls {
        None => engine.to_owned(),
        Some(_) => format!("{engine} over TLS"),
    };
    match step.action() {
        Some(DockerAction::Run(run)) => {
            format!(
                "{engine}: run {} {}",
                run.image,
                short(&run.command.join(" "))
            )
        }
        Some(DockerAction::Ps(_)) => format!("{engine}: ps"),
        Some(DockerAction::Exec(exec)) => {
            format!(
                "{engine}: exec {} {}",
                exec.container,
                short(&exec.command.join(" "))
            )
        }
        Some(DockerAction::Import(import)) => format!("{engine}: import {}", import.image),
        None => engine,
    }
}

/// The first line, shortened to 60 characters.
fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.trim().lines().next().unwrap_or_default();
    let more = text.trim().lines().count() > 1 || line.chars().count() > LONGEST;
    let line: String = line.chars().take(LONGEST).collect();
    if more { format!("{line} ...") } else { line }
}
