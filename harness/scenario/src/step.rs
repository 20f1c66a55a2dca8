//! Steps as scenario files contain them.
//!
//! A step is a mapping with one key for its kind, and optionally `name` and `timeout`. Serde reads every
//! kind as optional: an enum would need `flatten` for the two other keys, and errors in flattened
//! fields have no position. `lint` checks that there is exactly one kind and turns it into an
//! `Action`.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::client::ClientStep;
use super::docker::{DockerStep, EngineName};
use super::fault::{
    ClockStep, CrashStep, DiskStep, FaultStep, KillStep, MemoryStep, NetworkStep, PauseStep,
    PowerButtonStep, PowerOffStep, ResumeStep, Undone,
};
use super::hotplug::{HotplugStep, NameServerStep, TimeServerStep};
use super::value::{Pattern, Span, TextExpectation};

/// One step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Step", transform = one_kind)]
pub struct StepFile {
    /// The name in reports; the default describes the kind.
    pub name: Option<String>,
    /// The timeout on the reference host.
    pub timeout: Option<Span>,
    /// A command, a file or a login over SSH.
    pub ssh: Option<SshStep>,
    /// Input and output of the serial console.
    pub serial: Option<SerialStep>,
    /// A request to a Docker engine.
    pub docker: Option<DockerStep>,
    /// A reboot, verified by a changed boot ID.
    pub reboot: Option<RebootStep>,
    /// A power cut, then power on.
    pub power_cut: Option<PowerCutStep>,
    /// Waits for a condition.
    pub wait_for: Option<WaitForStep>,
    /// The expected boot events.
    pub events: Option<EventsStep>,
    /// Hot-plugs a disk or a network card.
    pub hotplug: Option<HotplugStep>,
    /// Starts a time server (NTP).
    pub time_server: Option<TimeServerStep>,
    /// A command on a client computer.
    pub client: Option<ClientStep>,
    /// Starts a name server (DNS).
    pub name_server: Option<NameServerStep>,
    /// A kernel panic, then a reboot.
    pub crash: Option<CrashStep>,
    /// Sends a signal to processes or to a container.
    pub kill: Option<KillStep>,
    /// Pauses the machine.
    pub pause: Option<PauseStep>,
    /// Resumes a paused machine.
    pub resume: Option<ResumeStep>,
    /// Makes a network fail, slow or lossy.
    pub network: Option<NetworkStep>,
    /// Makes a disk fail, slow or full.
    pub disk: Option<DiskStep>,
    /// Sets the clock forward or back.
    pub clock: Option<ClockStep>,
    /// Takes memory from the machine.
    pub memory: Option<MemoryStep>,
    /// Presses the power button.
    pub power_button: Option<PowerButtonStep>,
    /// A command that powers the machine off.
    pub power_off: Option<PowerOffStep>,
    /// Reverts faults before the trial ends.
    pub undo: Option<Undone>,
}

/// The kinds that inject or revert a fault.
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

/// Puts the rule of the lint into the schema for editors: one kind per step.
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

/// What a step does, after the lint found exactly one kind.
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

/// The account that a command runs as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Account {
    /// The user of the login.
    #[default]
    Rancher,
    /// Root, through sudo.
    Root,
}

/// The key of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyName {
    /// The key of the trial, which the machine authorises.
    Harness,
    /// A key that the machine does not know.
    Stranger,
}

/// A command, a file or a login over SSH. `user`, `password` and `key` open a new connection; the
/// default is the trial's own connection.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshStep {
    /// The command line, run by a shell.
    pub run: Option<String>,
    /// A file to send, instead of `run`.
    pub upload: Option<Upload>,
    /// Whose rights the command has.
    #[serde(rename = "as", default)]
    pub account: Account,
    /// The user that logs in; the default is `rancher`.
    pub user: Option<String>,
    /// The password of the login.
    pub password: Option<String>,
    /// The key of the login.
    pub key: Option<KeyName>,
    /// The login must be refused.
    #[serde(default)]
    pub expect_refused: bool,
    /// The expected exit status; the default is 0.
    pub exit: Option<i32>,
    /// The expected standard output.
    pub stdout: Option<TextExpectation>,
    /// The expected standard error.
    pub stderr: Option<TextExpectation>,
}

/// A file to send: either its `content`, or a file `from` the scenarios folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The content.
    pub content: Option<String>,
    /// A path in the scenarios folder.
    pub from: Option<String>,
    /// The path on the machine.
    pub to: String,
    /// Whether the file is executable.
    #[serde(default)]
    pub executable: bool,
}

/// Input and output of the serial console: `send` and `expect`, a `login`, or a command that its shell
/// `run`s.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SerialStep {
    /// A line to type.
    pub send: Option<String>,
    /// The expected output, after that of earlier steps and without the echo of `send`.
    pub expect: Option<Pattern>,
    /// A login dialogue.
    pub login: Option<SerialLogin>,
    /// A command line for the shell of an earlier `login`.
    pub run: Option<String>,
    /// The expected exit status of `run`; the default is 0.
    pub exit: Option<i32>,
    /// The expected output of `run`, including standard error.
    pub stdout: Option<TextExpectation>,
}

/// A login on the serial console.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SerialLogin {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The login must be refused.
    #[serde(default)]
    pub refused: bool,
}

/// A reboot, verified by a changed boot ID. The machine is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RebootStep {
    /// The command; the default is `sudo reboot`.
    pub command: Option<String>,
}

/// Cuts the power and restores it. The machine stops at once, and the disks lose some of the writes
/// after the last flush. The machine is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PowerCutStep {
    /// The seed that selects which writes persist, are lost or are torn; the default is random.
    pub seed: Option<u64>,
}

/// Waits until one condition holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitForStep {
    /// A command over SSH has the expected exit status and output.
    pub ssh: Option<WaitSsh>,
    /// The serial console prints this.
    pub serial: Option<Pattern>,
    /// The boot event of this stage arrived.
    pub event: Option<String>,
    /// A container runs.
    pub container: Option<WaitContainer>,
    /// New connections to the SSH port get no answer for this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<Span>,
    /// Runs as root after each failed poll; exit status 0 ends the wait: `systemctl is-failed NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_failed: Option<String>,
}

/// The condition of a `wait_for` step, after the lint found exactly one.
#[derive(Debug, Clone, Copy)]
pub enum WaitAction<'a> {
    /// See [`WaitSsh`].
    Ssh(&'a WaitSsh),
    /// The serial console prints this.
    Serial(&'a Pattern),
    /// The boot event of this stage arrived.
    Event(&'a str),
    /// See [`WaitContainer`].
    Container(&'a WaitContainer),
    /// New connections to the SSH port get no answer for this long.
    Silence(Span),
}

/// A command over SSH that is repeated until it has the expected exit status and output.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitSsh {
    /// The command line, run by a shell.
    pub run: String,
    /// Whose rights the command has.
    #[serde(rename = "as", default)]
    pub account: Account,
    /// The expected exit status; the default is 0.
    pub exit: Option<i32>,
    /// The expected standard output.
    pub stdout: Option<TextExpectation>,
}

/// A container that must run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitContainer {
    /// The engine.
    pub engine: EngineName,
    /// The name.
    pub name: String,
}

/// The expected boot events of the current boot.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsStep {
    /// Stages that must occur in this order; other stages can occur between them.
    #[serde(default)]
    pub order: Vec<String>,
    /// The exact set of failed stages; `[]` for none.
    pub failed: Option<Vec<String>>,
}
