//! The steps, as people write them.
//!
//! A step is a mapping with one key that says what kind it is, and perhaps `name` and `timeout`.
//! Serde reads all kinds as optional (an enum would not allow the two beside it without `flatten`,
//! whose errors point nowhere); [`super::lint`] makes sure there is exactly one, and `Action` is
//! what is left then.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::client::ClientStep;
use super::docker::{DockerStep, EngineName};
use super::fault::{
    ClockStep, CrashStep, DiskStep, FaultStep, KillStep, MemoryStep, NetworkStep, PauseStep,
    PowerButtonStep, PowerOffStep, ResumeStep, Undone,
};
use super::supply::{HotplugStep, NameServerStep, TimeServerStep};
use super::value::{Pattern, Span, TextExpectation};

/// One step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Step", transform = one_kind)]
pub struct StepFile {
    /// What it is called in reports, instead of what it does.
    pub name: Option<String>,
    /// How long it may take on the reference host.
    pub timeout: Option<Span>,
    /// A command, a file or a login over SSH.
    pub ssh: Option<SshStep>,
    /// Typing and reading on the serial console.
    pub serial: Option<SerialStep>,
    /// Something asked of a Docker engine.
    pub docker: Option<DockerStep>,
    /// A reboot, proven by a changed boot id.
    pub reboot: Option<RebootStep>,
    /// A power cut, after which the machine is powered on again.
    pub power_cut: Option<PowerCutStep>,
    /// Waiting until something holds.
    pub wait_for: Option<WaitForStep>,
    /// What the boot events must be.
    pub events: Option<EventsStep>,
    /// A disk that comes while the machine runs.
    pub hotplug: Option<HotplugStep>,
    /// Somebody who knows what time it is.
    pub time_server: Option<TimeServerStep>,
    /// A command on a person's computer beside the machine.
    pub client: Option<ClientStep>,
    /// Somebody who knows names.
    pub name_server: Option<NameServerStep>,
    /// A panic of the kernel, after which the machine comes back.
    pub crash: Option<CrashStep>,
    /// A signal to processes or to a container.
    pub kill: Option<KillStep>,
    /// The machine stands still.
    pub pause: Option<PauseStep>,
    /// The machine goes on.
    pub resume: Option<ResumeStep>,
    /// A network that is down, slow or lossy.
    pub network: Option<NetworkStep>,
    /// A disk that fails, is slow or full.
    pub disk: Option<DiskStep>,
    /// A clock that jumps.
    pub clock: Option<ClockStep>,
    /// Memory that is taken away.
    pub memory: Option<MemoryStep>,
    /// The power button.
    pub power_button: Option<PowerButtonStep>,
    /// A command that ends the machine.
    pub power_off: Option<PowerOffStep>,
    /// What was broken is mended before the trial ends.
    pub undo: Option<Undone>,
}

/// The kinds that break something, or mend it.
const FAULTS: [&str; 11] = [
    "crash",
    "kill",
    "pause",
    "resume",
    "network",
    "disk",
    "clock",
    "memory",
    "power_button",
    "power_off",
    "undo",
];

/// Tells editors what the lint tells everybody: one kind a step.
fn one_kind(schema: &mut Schema) {
    let kinds = [
        "ssh",
        "serial",
        "docker",
        "reboot",
        "power_cut",
        "wait_for",
        "events",
        "hotplug",
        "time_server",
        "client",
        "name_server",
    ];
    let kinds = kinds.iter().chain(&FAULTS);
    let one = kinds.map(|kind| serde_json::json!({ "required": [kind] }));
    schema.insert("oneOf".into(), one.collect::<Vec<_>>().into());
}

/// What a step does, once it is known to do one thing.
#[derive(Debug, Clone)]
pub enum Action {
    /// See [`SshStep`].
    Ssh(SshStep),
    /// See [`SerialStep`].
    Serial(SerialStep),
    /// See [`DockerStep`].
    Docker(Box<DockerStep>),
    /// See [`RebootStep`].
    Reboot(RebootStep),
    /// See [`PowerCutStep`].
    PowerCut(PowerCutStep),
    /// See [`WaitForStep`].
    WaitFor(WaitForStep),
    /// See [`EventsStep`].
    Events(EventsStep),
    /// See [`HotplugStep`].
    Hotplug(HotplugStep),
    /// See [`TimeServerStep`].
    TimeServer(TimeServerStep),
    /// See [`ClientStep`].
    Client(ClientStep),
    /// See [`NameServerStep`].
    NameServer(NameServerStep),
    /// See [`FaultStep`].
    Fault(FaultStep),
}

/// Whose rights a command has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Account {
    /// The user that logs in.
    #[default]
    Rancher,
    /// Root, through sudo.
    Root,
}

/// Which key to log in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyName {
    /// The one that the harness put on the config drive.
    Harness,
    /// One that the machine was never told.
    Stranger,
}

/// A command, a file or a login over SSH. With `user`, `password` or `key` a new connection is
/// made; without, the trial's own is used.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshStep {
    /// The command line, for a shell.
    pub run: Option<String>,
    /// A file to send instead.
    pub upload: Option<Upload>,
    /// Whose rights the command has.
    #[serde(rename = "as", default)]
    pub account: Account,
    /// Who logs in; `rancher` unless told.
    pub user: Option<String>,
    /// Log in with this password.
    pub password: Option<String>,
    /// Log in with this key.
    pub key: Option<KeyName>,
    /// The login must be refused.
    #[serde(default)]
    pub expect_refused: bool,
    /// The exit status that is wanted; 0 unless told.
    pub exit: Option<i32>,
    /// What must be on standard output.
    pub stdout: Option<TextExpectation>,
    /// What must be on standard error.
    pub stderr: Option<TextExpectation>,
}

/// A file to send: its `content`, or one of the project.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// Its content.
    pub content: Option<String>,
    /// A file in the folder of the scenarios, by its path there.
    pub from: Option<String>,
    /// Its path on the machine.
    pub to: String,
    /// Whether it is to be a program.
    #[serde(default)]
    pub executable: bool,
}

/// Typing and reading on the serial console: `send` then `expect`, a `login`, or a command that is
/// `run` in the shell there.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SerialStep {
    /// What is typed, followed by Enter.
    pub send: Option<String>,
    /// What must come (after what earlier steps have seen). The echo of what was sent does not count.
    pub expect: Option<Pattern>,
    /// A login dialogue.
    pub login: Option<SerialLogin>,
    /// A command line, for the shell that a login before left.
    pub run: Option<String>,
    /// The exit status that is wanted of `run`; 0 unless told.
    pub exit: Option<i32>,
    /// What `run` must print, standard error included.
    pub stdout: Option<TextExpectation>,
}

/// A login on the serial console.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SerialLogin {
    /// Who.
    pub user: String,
    /// With which password.
    pub password: String,
    /// The login must be refused.
    #[serde(default)]
    pub refused: bool,
}

/// A reboot, proven by a changed boot id. The machine is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RebootStep {
    /// The command that does it; `sudo reboot` unless told.
    pub command: Option<String>,
}

/// Cuts the power and gives it back: the machine is gone at once, and of what the guest wrote to
/// its disks after the last flush some is lost. The machine is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PowerCutStep {
    /// Draws which writes are kept, lost or torn; another one each time unless told.
    pub seed: Option<u64>,
}

/// Waits until one thing holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitForStep {
    /// A command over SSH ends and prints as wanted.
    pub ssh: Option<WaitSsh>,
    /// The serial console says this.
    pub serial: Option<Pattern>,
    /// The boot event of this stage came.
    pub event: Option<String>,
    /// A container runs.
    pub container: Option<WaitContainer>,
    /// A new connection to its SSH port gets no word for so long: the machine stands still, or
    /// cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<Span>,
    /// A command that ends well (exit status 0) when waiting is of no more use: `systemctl is-failed
    /// NAME`. It runs as root after each look that found what is waited for not to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_failed: Option<String>,
}

/// What a waiting step waits for, once it is known to be one thing.
#[derive(Debug, Clone, Copy)]
pub enum WaitAction<'a> {
    /// See [`WaitSsh`].
    Ssh(&'a WaitSsh),
    /// The serial console says this.
    Serial(&'a Pattern),
    /// The boot event of this stage came.
    Event(&'a str),
    /// See [`WaitContainer`].
    Container(&'a WaitContainer),
    /// A new connection to its SSH port gets no word for so long.
    Silence(Span),
}

/// A command over SSH that is run again until it ends and prints as wanted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitSsh {
    /// The command line, for a shell.
    pub run: String,
    /// Whose rights the command has.
    #[serde(rename = "as", default)]
    pub account: Account,
    /// The exit status that is wanted; 0 unless told.
    pub exit: Option<i32>,
    /// What must be on standard output.
    pub stdout: Option<TextExpectation>,
}

/// A container that is to run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitContainer {
    /// Which engine.
    pub engine: EngineName,
    /// Its name.
    pub name: String,
}

/// What the boot events of the current boot must be.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsStep {
    /// Stages that came, in this order; others may stand between them.
    #[serde(default)]
    pub order: Vec<String>,
    /// The stages that failed, exactly; `[]` for none.
    pub failed: Option<Vec<String>>,
}
