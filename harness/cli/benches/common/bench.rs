//! What a bench on this OS has at hand: the tree, the machine, who logs in, and what is left of a
//! machine that failed.

use std::fmt::Display;
use std::time::Duration;

use harness::artifacts::{self, Artifacts};
use harness::project::{self, Project};
use host::speed;
use machine::{Login, Machine, MachineError, MachineSpec, Ssh};
use runner::evidence::Evidence;

use super::{Result, ours};

/// For a boot, on the reference host.
const BOOT_SECONDS: u64 = 300;

/// What is measured, and where.
pub struct Bench {
    /// The tree.
    pub project: Project,
    /// The OS.
    pub artifacts: Artifacts,
    /// The machine.
    pub spec: MachineSpec,
    /// Who logs in.
    pub login: Login,
    name: &'static str,
}

impl Bench {
    /// Its evidence is found by the name.
    pub fn prepare(name: &'static str) -> Result<Self> {
        let project = project::find();
        let artifacts = artifacts::obtain(&project)?;
        let (spec, login) = ours::machine(&ours::profile(&project)?, &artifacts)?;
        Ok(Self {
            project,
            artifacts,
            spec,
            login,
            name,
        })
    }

    /// A folder for what a machine says.
    pub fn evidence(&self) -> Result<Evidence> {
        Ok(Evidence::begin(&self.project.evidence_folder(), self.name)?)
    }

    /// Logs in as soon as that is possible.
    pub async fn log_in(&self, machine: &Machine) -> std::result::Result<Ssh, MachineError> {
        machine.ssh(&self.login, boot_limit()).await
    }
}

/// How long a machine may take until it is up.
pub fn boot_limit() -> Duration {
    speed::seconds(BOOT_SECONDS)
}

/// What went wrong, and where more of it is told.
pub fn failed(evidence: &Evidence, why: impl Display) -> Box<dyn std::error::Error> {
    format!("{why}\nevidence: {}", evidence.folder().display()).into()
}

/// Removes the evidence of what went well, and names that of what did not.
pub fn close<T>(evidence: &Evidence, done: std::result::Result<T, MachineError>) -> Result<T> {
    match done {
        Ok(value) => Ok(std::fs::remove_dir_all(evidence.folder()).map(|()| value)?),
        Err(error) => Err(failed(evidence, error)),
    }
}
