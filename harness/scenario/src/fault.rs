//! Steps that break something, as people write them. What they broke is mended at the end of the
//! trial, or before by `undo`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::docker::EngineName;
use super::value::{Pattern, Span};

/// A step that breaks something, or mends it.
#[derive(Debug, Clone)]
pub enum FaultStep {
    /// See [`CrashStep`].
    Crash(CrashStep),
    /// See [`KillStep`].
    Kill(KillStep),
    /// See [`PauseStep`].
    Pause(PauseStep),
    /// See [`ResumeStep`].
    Resume(ResumeStep),
    /// See [`NetworkStep`].
    Network(NetworkStep),
    /// See [`DiskStep`].
    Disk(DiskStep),
    /// See [`ClockStep`].
    Clock(ClockStep),
    /// See [`MemoryStep`].
    Memory(MemoryStep),
    /// See [`PowerButtonStep`].
    PowerButton(PowerButtonStep),
    /// See [`PowerOffStep`].
    PowerOff(PowerOffStep),
    /// See [`Undone`].
    Undo(Undone),
}

/// The kernel panics; the machine must come back by itself. It is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CrashStep {
    /// What makes it panic.
    pub by: CrashCause,
    /// The kernel stops after a panic (`kernel.panic` is 0), and the machine is reset by hand.
    pub reset: bool,
}

/// What makes a kernel panic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CrashCause {
    /// The key `c` of the kernel's system requests, as root.
    #[default]
    Sysrq,
    /// An interrupt that cannot be masked, as a watchdog or a failing board sends it.
    Nmi,
}

/// Sends a signal to processes, or to a container. Something must be hit, and what is sent `KILL`
/// must be gone when the step ends (what started it may have started it again).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillStep {
    /// Every process of this name (`/proc/PID/comm`, at most 15 letters).
    pub process: Option<String>,
    /// Every process whose command line matches.
    pub command: Option<Pattern>,
    /// A container that runs.
    pub container: Option<String>,
    /// The engine of the container; the user's unless told.
    pub engine: Option<EngineName>,
    /// The signal; `KILL` unless told.
    #[serde(default)]
    pub signal: SignalName,
}

/// A signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "they are those of signal(7)")]
pub enum SignalName {
    Abrt,
    Cont,
    Hup,
    Int,
    #[default]
    Kill,
    Quit,
    Segv,
    Stop,
    Term,
    Usr1,
    Usr2,
}

impl SignalName {
    /// As `kill` takes it.
    pub fn name(self) -> String {
        format!("{self:?}").to_uppercase()
    }
}

/// The machine stands still: its processors, its clocks, its devices. When it goes on its clock is
/// late by the time that it stood, as after any pause of a virtual machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PauseStep {
    /// So long, then it goes on. Without it `resume` lets it go on.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
}

/// A machine that stands still goes on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResumeStep {}

/// What is to be wrong with the network of one interface, instead of what was before.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkStep {
    /// The interface's name in the machine; `eth0` unless told.
    pub interface: Option<String>,
    /// Whether there is a carrier.
    pub link: Option<Link>,
    /// Each packet, in and out, comes so much later.
    pub delay: Option<Span>,
    /// So many packets of a hundred, in and out, never come.
    pub loss: Option<u8>,
    /// So long, then all is well again.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
}

impl NetworkStep {
    /// The interface's name in the machine.
    pub fn interface(&self) -> &str {
        self.interface.as_deref().unwrap_or("eth0")
    }
}

/// Whether there is a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// There is.
    Up,
    /// The cable is pulled.
    Down,
}

/// What is to be wrong with a disk of the scenario, instead of what was before.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiskStep {
    /// Which of `machine.disks`, the first is 0; those that `hotplug` brought come after them.
    pub disk: usize,
    /// Every read of it ends so.
    pub read: Option<DiskError>,
    /// Every write to it ends so, and every request to keep what was written.
    pub write: Option<DiskError>,
    /// Its requests come one each so long; at least 1ms and at most 1s.
    pub slow: Option<Span>,
    /// Its file system, which must be mounted, has no room left, not even for root.
    pub full: bool,
}

impl DiskStep {
    /// Whether the device itself is to do something wrong.
    pub fn breaks_device(&self) -> bool {
        self.read.is_some() || self.write.is_some() || self.slow.is_some()
    }
}

/// How a request to a disk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskError {
    /// With an I/O error.
    Error,
}

/// The machine's clock jumps.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// How far: `1h`, or `-1h` for back.
    pub jump: Jump,
}

/// How far a clock jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// In seconds; below 0 is back.
    pub seconds: i64,
}

impl<'de> Deserialize<'de> for Jump {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (sign, length) = match text.strip_prefix('-') {
            Some(length) => (-1, length),
            None => (1, text.as_str()),
        };
        let length = humantime::parse_duration(length).map_err(|error| {
            D::Error::custom(format!("not a time ({error}); write `1h` or `-1h`"))
        })?;
        match i64::try_from(length.as_secs()) {
            Ok(seconds @ 1..) => Ok(Self {
                seconds: sign * seconds,
            }),
            _ => Err(D::Error::custom("a clock jumps at least a second")),
        }
    }
}

impl JsonSchema for Jump {
    fn schema_name() -> Cow<'static, str> {
        "Jump".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "How far a clock jumps: 1h, or -1h for back.",
            "pattern": "^-?[0-9]",
        })
    }
}

/// Memory is taken from the machine, by its balloon.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryStep {
    /// MiB that are left to it.
    pub balloon: u64,
}

/// The power button is pressed. The machine must switch itself off, and is off when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PowerButtonStep {
    /// What it must say on the serial line before its end.
    pub says: Option<Pattern>,
}

/// Somebody ends the machine by a command. It is off when the step ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerOffStep {
    /// The command.
    pub command: String,
    /// Where it is given.
    #[serde(default)]
    pub over: Line,
    /// The machine must not switch itself off, but stop with the power on, and say so on the serial line.
    #[serde(default)]
    pub halts: bool,
    /// What it must say on the serial line before its end.
    pub says: Option<Pattern>,
}

/// A line to the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The trial's own login over SSH.
    #[default]
    Ssh,
    /// The serial line, where a step before has logged in.
    Serial,
}

/// What is mended before the trial ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Undone {
    /// All that was broken.
    All,
    /// The clock is right again.
    Clock,
    /// All disks are well again.
    Disk,
    /// The machine has all of its memory again.
    Memory,
    /// All interfaces are well again.
    Network,
}

impl Undone {
    /// As it is written.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl FaultStep {
    /// Whether it is done, or begun, by a command in the machine.
    pub fn needs_login(&self) -> bool {
        match self {
            Self::Crash(_) | Self::Kill(_) | Self::Clock(_) | Self::Network(_) => true,
            Self::Disk(step) => step.full,
            Self::Undo(what) => *what == Undone::Clock,
            Self::PowerOff(step) => step.over == Line::Ssh,
            Self::Pause(_) | Self::Resume(_) | Self::Memory(_) | Self::PowerButton(_) => false,
        }
    }

    /// Whether nobody can be asked while it is done.
    pub fn takes_away(&self) -> bool {
        use FaultStep as F;
        match self {
            F::Crash(_) | F::Kill(_) | F::Pause(_) | F::Resume(_) | F::Network(_) => true,
            F::PowerButton(_) | F::PowerOff(_) | F::Undo(_) => true,
            F::Disk(_) | F::Clock(_) | F::Memory(_) => false,
        }
    }

    /// Whether it could ever be red because of the machine.
    pub fn checks(&self) -> bool {
        use FaultStep as F;
        match self {
            F::Crash(_) | F::Kill(_) | F::Memory(_) | F::PowerButton(_) | F::PowerOff(_) => true,
            F::Pause(_) | F::Resume(_) | F::Network(_) | F::Disk(_) | F::Clock(_) | F::Undo(_) => {
                false
            }
        }
    }

    /// How long it may take on the reference host.
    pub fn limit(&self) -> Duration {
        let lasting = match self {
            Self::Pause(step) => step.lasting,
            Self::Network(step) => step.lasting,
            _ => None,
        };
        let usual = match self {
            Self::Crash(_) => 240,
            Self::Memory(_) | Self::PowerButton(_) | Self::PowerOff(_) => 90,
            _ => 60,
        };
        Duration::from_secs(usual) + lasting.map_or(Duration::ZERO, |span| span.0)
    }
}
