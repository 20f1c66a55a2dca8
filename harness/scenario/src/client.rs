//! Client steps: commands on a computer beside the machine.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::TextExpectation;

/// A command on a client computer. It reaches only the machine: as `machine` over SSH, which
/// `DOCKER_HOST` uses as well, and through `ports`. Its home directory persists during the trial.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientStep {
    /// The command line, run by bash.
    pub run: String,
    /// Files to write before, by their paths in the home directory.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Ports of the machine, 1024 or above, that are forwarded as `machine:PORT` during the command.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// The expected exit status; the default is 0.
    pub exit: Option<i32>,
    /// The expected standard output.
    pub stdout: Option<TextExpectation>,
    /// The expected standard error.
    pub stderr: Option<TextExpectation>,
}
