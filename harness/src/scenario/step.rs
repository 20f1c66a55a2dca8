//! The steps, as people write them.
//!
//! A step is a mapping with one key that says what kind it is, and perhaps `name` and `timeout`.
//! Serde reads all kinds as optional (an enum would not allow the two beside it without `flatten`,
//! whose errors point nowhere); [`super::lint`] makes sure there is exactly one, and `Action` is
//! what is left then.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::machine::Engine;

use super::fault::{
    ClockStep, CrashStep, DiskStep, FaultStep, KillStep, MemoryStep, NetworkStep, PauseStep,
    PowerButtonStep, PowerOffStep, ResumeStep, Undone,
};
use super::supply::{HotplugStep, TimeServerStep};
use super::value::{Pattern, Span, TextExpectation, Words};

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
    /// See [`FaultStep`].
    Fault(FaultStep),
}

/// Whose rights a command has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

/// A file to send.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// Its content.
    pub content: String,
    /// Its path on the machine.
    pub to: String,
    /// Whether it is to be a program.
    #[serde(default)]
    pub executable: bool,
}

/// Typing and reading on the serial console: `send` then `expect`, or a `login`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SerialStep {
    /// What is typed, followed by Enter.
    pub send: Option<String>,
    /// What must come (after what earlier steps have seen).
    pub expect: Option<Pattern>,
    /// A login dialogue.
    pub login: Option<SerialLogin>,
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

/// Which Docker engine of the OS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// system-docker, PID 1.
    System,
    /// The user's.
    User,
}

impl From<EngineName> for Engine {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::System => Self::System,
            EngineName::User => Self::User,
        }
    }
}

/// Something asked of a Docker engine: one of `run`, `ps`, `exec` and `import`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerStep {
    /// Which engine.
    pub engine: EngineName,
    /// As from another computer, over the network with TLS, instead of the engine's socket.
    pub tls: Option<DockerTls>,
    /// Runs a container.
    pub run: Option<DockerRun>,
    /// Looks at the containers.
    pub ps: Option<DockerPs>,
    /// Runs a command in a container.
    pub exec: Option<DockerExec>,
    /// Makes an image out of files of the machine (which reaches no registry).
    pub import: Option<DockerImport>,
}

/// How an engine is asked over the network.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerTls {
    /// The folder of the machine that has the client's `ca.pem`, `cert.pem` and `key.pem`.
    pub certificates: String,
    /// The engine's port; 2376 unless told.
    #[serde(default = "docker_port")]
    pub port: u16,
    /// One of the two must not accept what the other one shows.
    #[serde(default)]
    pub refused: bool,
}

/// What Docker's own clients take where nobody names a port.
fn docker_port() -> u16 {
    2376
}

/// What a Docker step does, once it is known to do one thing.
#[derive(Debug, Clone, Copy)]
pub enum DockerAction<'a> {
    /// See [`DockerRun`].
    Run(&'a DockerRun),
    /// See [`DockerPs`].
    Ps(&'a DockerPs),
    /// See [`DockerExec`].
    Exec(&'a DockerExec),
    /// See [`DockerImport`].
    Import(&'a DockerImport),
}

/// Runs a container to its end and removes it, or leaves it running with `detach`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerRun {
    /// The image; on the machine already.
    pub image: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// What the container is called; Docker thinks of a name otherwise.
    pub name: Option<String>,
    /// All rights of the host.
    #[serde(default)]
    pub privileged: bool,
    /// Folders of the host inside, as Docker writes them (`/from:/to:ro`).
    #[serde(default)]
    pub binds: Vec<String>,
    /// Leave it running and go on.
    #[serde(default)]
    pub detach: bool,
    /// The exit status that is wanted; 0 unless told.
    pub exit: Option<i64>,
    /// What must be on standard output.
    pub stdout: Option<TextExpectation>,
    /// What must be on standard error.
    pub stderr: Option<TextExpectation>,
}

/// What the engine's containers must be.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerPs {
    /// Also those that do not run.
    #[serde(default)]
    pub all: bool,
    /// Names that are there.
    pub contains: Option<Words>,
    /// Names that are not.
    pub lacks: Option<Words>,
    /// How many there are.
    pub count: Option<usize>,
}

/// Runs a command in a container that runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerExec {
    /// The container's name.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The exit status that is wanted; 0 unless told.
    pub exit: Option<i64>,
    /// What must be on standard output.
    pub stdout: Option<TextExpectation>,
    /// What must be on standard error.
    pub stderr: Option<TextExpectation>,
}

/// Makes an image of one layer out of files of the machine. A `busybox` among them gets the links
/// it is usually called by (`sh`, `echo`, ...).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerImport {
    /// What the image is called.
    pub image: String,
    /// Files of the machine, at the same path in the image.
    pub files: Vec<String>,
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
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
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
}

/// A command over SSH that is run again until it ends and prints as wanted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
