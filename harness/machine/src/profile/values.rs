//! Values of a profile that are validated when they are parsed.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A size in MiB.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Mib(#[schemars(range(min = 16, max = 1_048_576))] u64);

impl Mib {
    /// Enough for a server.
    pub(super) const DEFAULT: Self = Self(1024);

    /// The size in MiB.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Mib {
    type Error = String;
    fn try_from(mib: u64) -> Result<Self, String> {
        match mib {
            16..=1_048_576 => Ok(Self(mib)),
            _ => Err(format!(
                "{mib} MiB is out of range: at least 16, at most 1048576"
            )),
        }
    }
}

impl From<Mib> for u64 {
    fn from(mib: Mib) -> Self {
        mib.0
    }
}

/// A number of virtual processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64", into = "u64")]
pub struct Cpus(#[schemars(range(min = 1, max = 255))] u64);

impl Cpus {
    /// Two, so that races show.
    pub(super) const DEFAULT: Self = Self(2);

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Cpus {
    type Error = String;
    fn try_from(cpus: u64) -> Result<Self, String> {
        match cpus {
            1..=255 => Ok(Self(cpus)),
            _ => Err(format!("{cpus} processors: must be between 1 and 255")),
        }
    }
}

impl From<Cpus> for u64 {
    fn from(cpus: Cpus) -> Self {
        cpus.0
    }
}

/// One word of the kernel command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct KernelArgument(#[schemars(regex(pattern = r"^[^ \t\n]+$"))] String);

impl KernelArgument {
    /// The console on the first serial port.
    pub(super) fn serial_console() -> Self {
        Self("console=ttyS0".into())
    }

    /// The argument.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KernelArgument {
    type Error = String;
    fn try_from(argument: String) -> Result<Self, String> {
        if argument.is_empty() || argument.contains(char::is_whitespace) {
            return Err(format!(
                "`{argument}` is not a single kernel argument; hint: write one list item per argument"
            ));
        }
        Ok(Self(argument))
    }
}

impl From<KernelArgument> for String {
    fn from(argument: KernelArgument) -> Self {
        argument.0
    }
}

/// A time limit whose excess causes a warning: `500ms`, `20s`, `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget(Duration);

impl Budget {
    /// The duration.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for Budget {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match humantime::parse_duration(&text) {
            Ok(time) if !time.is_zero() => Ok(Self(time)),
            Ok(_) => Err("a budget must not be zero".into()),
            Err(error) => Err(format!(
                "not a duration ({error}); hint: write `20s` or `2m`"
            )),
        }
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> Self {
        humantime::format_duration(budget.0).to_string()
    }
}

impl JsonSchema for Budget {
    fn schema_name() -> Cow<'static, str> {
        "Budget".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration: 500ms, 20s, 2m.",
            "pattern": "^[0-9]",
        })
    }
}

/// The firmware of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Firmware {
    /// The BIOS that is built into QEMU.
    #[default]
    Seabios,
    /// UEFI, from the package `ovmf`.
    Ovmf,
    /// A firmware image, passed to QEMU as `-bios`.
    File(PathBuf),
}

impl TryFrom<String> for Firmware {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "seabios" => Ok(Self::Seabios),
            "ovmf" => Ok(Self::Ovmf),
            path if path.starts_with('/') => Ok(Self::File(path.into())),
            _ => Err(format!(
                "unknown firmware `{name}`; hint: use `seabios`, `ovmf`, or an absolute path"
            )),
        }
    }
}

impl From<Firmware> for String {
    fn from(firmware: Firmware) -> Self {
        match firmware {
            Firmware::Seabios => "seabios".into(),
            Firmware::Ovmf => "ovmf".into(),
            Firmware::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

impl JsonSchema for Firmware {
    fn schema_name() -> Cow<'static, str> {
        "Firmware".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`seabios`, `ovmf` (UEFI), or the absolute path of a firmware image.",
            "anyOf": [
                { "enum": ["seabios", "ovmf"] },
                { "type": "string", "pattern": "^/" },
            ],
        })
    }
}
