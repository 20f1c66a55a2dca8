//! Fault steps as scenario files contain them. Faults are reverted at the end of the trial, or earlier
//! by `undo`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::docker::EngineName;
use super::value::{Pattern, Span};

/// A step that injects or reverts a fault.
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

/// Makes the kernel panic. The machine must reboot by itself; it is ready again when the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CrashStep {
    /// The cause of the panic; the default is `sysrq`.
    pub by: CrashCause,
    /// Resets the machine, whose kernel stops after a panic (`kernel.panic` is 0).
    pub reset: bool,
}

/// The cause of a kernel panic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CrashCause {
    /// SysRq key `c`, as root.
    #[default]
    Sysrq,
    /// A non-maskable interrupt, as a watchdog or failing hardware sends it.
    Nmi,
}

/// Sends a signal to processes, or to a container. At least one process must match. After `KILL` the
/// processes must be gone when the step ends; a supervisor may have started new ones.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillStep {
    /// All processes with this name (`/proc/PID/comm`, at most 15 bytes).
    pub process: Option<String>,
    /// All processes whose command line matches.
    pub command: Option<Pattern>,
    /// A running container.
    pub container: Option<String>,
    /// The engine of the container; the default is `user`.
    pub engine: Option<EngineName>,
    /// The signal; the default is `KILL`.
    #[serde(default)]
    pub signal: SignalName,
}

/// A signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "signal(7) documents them")]
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
    /// The name as `kill` accepts it.
    pub fn name(self) -> String {
        format!("{self:?}").to_uppercase()
    }
}

/// Pauses the machine: processors, clocks and devices. Afterwards its clock is late by the length of
/// the pause, as after any pause of a virtual machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PauseStep {
    /// Resumes after this time. Without it, the machine is paused until `resume`.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
}

/// Resumes a paused machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResumeStep {}

/// Sets the faults of one network interface; replaces its earlier ones.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkStep {
    /// The interface in the machine; the default is `eth0`.
    pub interface: Option<String>,
    /// The state of the link.
    pub link: Option<Link>,
    /// The delay of each packet, in both directions.
    pub delay: Option<Span>,
    /// The packet loss in percent, in both directions.
    pub loss: Option<u8>,
    /// Reverts the faults after this time.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
}

impl NetworkStep {
    /// The interface in the machine.
    pub fn interface(&self) -> &str {
        self.interface.as_deref().unwrap_or("eth0")
    }
}

/// The state of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// The link has a carrier.
    Up,
    /// The link has no carrier, like with the cable unplugged.
    Down,
}

/// Sets the faults of one disk; replaces its earlier ones.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiskStep {
    /// The index in `machine.disks`, from 0; disks from `hotplug` steps follow.
    pub disk: usize,
    /// The result of every read.
    pub read: Option<DiskError>,
    /// The result of every write and flush.
    pub write: Option<DiskError>,
    /// Limits the disk to one request per this time, from 1ms to 1s.
    pub slow: Option<Span>,
    /// Fills its mounted file system, including the space reserved for root.
    pub full: bool,
}

impl DiskStep {
    /// Whether the step makes the device itself fail or slow.
    pub fn affects_device(&self) -> bool {
        self.read.is_some() || self.write.is_some() || self.slow.is_some()
    }
}

/// The result of a disk request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskError {
    /// An I/O error.
    Error,
}

/// Sets the machine's clock forward or back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// The distance: `1h`, or `-1h` for back.
    pub jump: Jump,
}

/// The distance of a clock change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// In seconds; negative for back.
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
            D::Error::custom(format!("not a duration ({error}); write `1h` or `-1h`"))
        })?;
        match i64::try_from(length.as_secs()) {
            Ok(seconds @ 1..) => Ok(Self {
                seconds: sign * seconds,
            }),
            _ => Err(D::Error::custom(
                "the clock change is shorter than a second",
            )),
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
            "description": "The distance of a clock change: 1h, or -1h for back.",
            "pattern": "^-?[0-9]",
        })
    }
}

/// Takes memory from the machine with its balloon device.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryStep {
    /// The remaining memory in MiB.
    pub balloon: u64,
}

/// Presses the power button. The machine must power off before the step ends.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PowerButtonStep {
    /// The expected console output before it ends.
    pub says: Option<Pattern>,
}

/// Runs a command that powers the machine off. It is off when the step ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerOffStep {
    /// The command.
    pub command: String,
    /// The connection that the command uses; the default is `ssh`.
    #[serde(default)]
    pub over: Line,
    /// The machine must halt with the power on, and report that on the serial console.
    #[serde(default)]
    pub halts: bool,
    /// The expected console output before it ends.
    pub says: Option<Pattern>,
}

/// A connection to the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The trial's own login over SSH.
    #[default]
    Ssh,
    /// The serial console, after an earlier step logged in there.
    Serial,
}

/// The faults to revert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Undone {
    /// All faults.
    All,
    /// The clock.
    Clock,
    /// All disks.
    Disk,
    /// The memory.
    Memory,
    /// All network interfaces.
    Network,
}

impl Undone {
    /// The name as scenario files contain it.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl FaultStep {
    /// Whether it runs a command in the machine.
    pub fn needs_login(&self) -> bool {
        match self {
            Self::Crash(_) | Self::Kill(_) | Self::Clock(_) | Self::Network(_) => true,
            Self::Disk(step) => step.full,
            Self::Undo(what) => *what == Undone::Clock,
            Self::PowerOff(step) => step.over == Line::Ssh,
            Self::Pause(_) | Self::Resume(_) | Self::Memory(_) | Self::PowerButton(_) => false,
        }
    }

    /// Whether the machine may not answer during the step.
    pub fn interrupts_machine(&self) -> bool {
        use FaultStep as F;
        match self {
            F::Crash(_) | F::Kill(_) | F::Pause(_) | F::Resume(_) | F::Network(_) => true,
            F::PowerButton(_) | F::PowerOff(_) | F::Undo(_) => true,
            F::Disk(_) | F::Clock(_) | F::Memory(_) => false,
        }
    }

    /// Whether the machine can make the step fail.
    pub fn checks(&self) -> bool {
        use FaultStep as F;
        match self {
            F::Crash(_) | F::Kill(_) | F::Memory(_) | F::PowerButton(_) | F::PowerOff(_) => true,
            F::Pause(_) | F::Resume(_) | F::Network(_) | F::Disk(_) | F::Clock(_) | F::Undo(_) => {
                false
            }
        }
    }

    /// The default timeout on the reference host.
    pub fn limit(&self) -> Duration {
        let lasting = match self {
            Self::Pause(step) => step.lasting,
            Self::Network(step) => step.lasting,
            _ => None,
        };
        let seconds = match self {
            Self::Crash(_) => 240,
            Self::Memory(_) | Self::PowerButton(_) | Self::PowerOff(_) => 90,
            _ => 60,
        };
        Duration::from_secs(seconds) + lasting.map_or(Duration::ZERO, |span| span.0)
    }
}
