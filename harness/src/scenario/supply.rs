//! Steps that give the machine something from outside: a disk, the time of day.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::DiskFile;

/// Plugs an empty disk into the machine while it runs. It is gone with the machine, also at a power
/// cut.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HotplugStep {
    /// The disk.
    pub disk: DiskFile,
}

/// A time server (NTP) on this host, which knows the host's time and answers until the trial ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeServerStep {
    /// The file of the machine that its `ADDRESS:PORT` is written to.
    pub tell: String,
}
