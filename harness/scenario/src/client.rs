//! Steps on a person's computer beside the machine.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::TextExpectation;

/// A command on a person's computer, which reaches nothing but the machine: by SSH as `machine`, where
/// `DOCKER_HOST` points, too, and by the ports that it asks for. Its home stays for the trial.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientStep {
    /// The command line, for bash.
    pub run: String,
    /// Files that are written at home before, by their paths there.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Ports of the machine that are reached at `machine:PORT` meanwhile, 1024 and above.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// The exit status that is wanted; 0 unless told.
    pub exit: Option<i32>,
    /// What must be on standard output.
    pub stdout: Option<TextExpectation>,
    /// What must be on standard error.
    pub stderr: Option<TextExpectation>,
}
