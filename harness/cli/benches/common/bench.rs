//! The environment of a benchmark: the tree, the machine, the login, and the evidence of a
//! failed machine.

use std::fmt::Display;
use std::time::Duration;

use harness::artifacts::{self, Artifacts};
use harness::project::{self, Project};
use host::speed;
use machine::{Login, Machine, MachineError, MachineSpec, Ssh};
use runner::evidence::Evidence;

use super::{Result, ours};

/// The timeout of a boot, on the reference host.
const BOOT_SECONDS: u64 = 300;

/// The measured machine and its environment.
pub(crate) struct Bench {
    /// The tree.
    pub project: Project,
    /// The OS.
    pub artifacts: Artifacts,
    /// The machine.
    pub spec: MachineSpec,
    /// The login.
    pub login: Login,
    name: &'static str,
}

impl Bench {
    /// `name` is the name of its evidence.
    pub(crate) fn prepare(name: &'static str) -> Result<Self> {
        let project = project::find();
        let artifacts = artifacts::of_environment(&project)?;
        let (spec, login) = ours::machine(&ours::profile(&project)?, &artifacts)?;
        Ok(Self {
            project,
            artifacts,
            spec,
            login,
            name,
        })
    }

    /// A new evidence folder for a machine.
    pub(crate) fn evidence(&self) -> Result<Evidence> {
        Ok(Evidence::begin(&self.project.evidence_folder(), self.name)?)
    }

    /// Logs in as soon as possible.
    pub(crate) async fn log_in(&self, machine: &Machine) -> std::result::Result<Ssh, MachineError> {
        machine.ssh(&self.login, boot_limit()).await
    }
}

/// The timeout until a machine is ready.
pub(crate) fn boot_limit() -> Duration {
    speed::seconds(BOOT_SECONDS)
}

/// An error with the path of the evidence.
pub(crate) fn failed(evidence: &Evidence, why: impl Display) -> Box<dyn std::error::Error> {
    format!("{why}\nevidence: {}", evidence.folder().display()).into()
}

/// Removes the evidence after a success, or adds its path to the error.
pub(crate) fn close<T>(
    evidence: &Evidence,
    done: std::result::Result<T, MachineError>,
) -> Result<T> {
    match done {
        Ok(value) => Ok(std::fs::remove_dir_all(evidence.folder()).map(|()| value)?),
        Err(error) => Err(failed(evidence, error)),
    }
}
