//! Why a trial did not pass.

use std::io;
use std::path::PathBuf;

use crate::client::ClientError;
use crate::content::Unreadable;
use crate::provision::StoreError;
use crate::spec::SpecError;
use base::text::printable;
use events::SnapshotOutcome;
use machine::MachineError;
use machine::profile::Unreachable;

/// Why a trial did not pass.
#[derive(Debug)]
pub enum Failure {
    /// The machine did not do what the scenario expects.
    Failed(FailedVerdict),
    /// The harness or the host failed, so there is no verdict.
    Infrastructure(InfrastructureError),
}

/// The verdict of a failed trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedVerdict {
    /// The full text of the failure.
    pub text: String,
    /// The number of the failed step, from 1; `None` if the machine did not become ready.
    pub step: Option<usize>,
    /// Whether a failure snapshot was saved.
    pub machine: SnapshotOutcome,
    /// The name of the machine that failed, if there are several.
    pub failed_on: Option<String>,
}

/// A failure of the harness or the host.
#[derive(Debug, thiserror::Error)]
pub enum InfrastructureError {
    /// No evidence folder can be created.
    #[error("cannot create an evidence folder in {}: {source}", parent.display())]
    EvidenceFolder {
        /// Its parent.
        parent: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The trial passed, but the evidence says nothing about it.
    #[error(
        "the trial passed, but its evidence in {} cannot be written: {source}", folder.display()
    )]
    Evidence {
        /// The evidence folder.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// This host cannot run the profile.
    #[error(transparent)]
    Profile(#[from] Unreachable),
    /// The machine of the scenario cannot be described.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// This host cannot run the client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An artifact, or an image of the registry, cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// QEMU cannot save this machine on any host.
    #[error("{0}")]
    NeverForks(&'static str),
    /// The store cannot provide the checkpoint.
    #[error("cannot create the checkpoint: {0}")]
    Checkpoint(#[from] StoreError),
    /// The machine cannot be saved as a checkpoint.
    #[error("cannot create the checkpoint: {error}\nevidence: {}", evidence.display())]
    Save {
        /// The cause.
        #[source]
        error: MachineError,
        /// The evidence folder.
        evidence: PathBuf,
    },
    /// The machine cannot be started or forked.
    #[error("{error}\nevidence: {}", evidence.display())]
    Machine {
        /// The cause.
        #[source]
        error: MachineError,
        /// The evidence folder.
        evidence: PathBuf,
    },
    /// QEMU failed while the machine ran.
    #[error("{report}")]
    Qemu {
        /// The message of the failed step.
        reason: String,
        /// The report of the trial.
        report: String,
    },
    /// The caller could not prepare the trial.
    #[error("{0}")]
    Preparation(String),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl InfrastructureError {
    /// The cause without the evidence folder and other text that differs each time.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Machine { error, .. } => error.to_string(),
            Self::Save { error, .. } => format!("cannot create the checkpoint: {error}"),
            Self::Qemu { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }
}

impl Failure {
    /// The full text of the failure. Control characters are escaped: parts of it come from a guest.
    pub fn text(&self) -> String {
        match self {
            Self::Failed(failed) => printable(&failed.text),
            Self::Infrastructure(error) => printable(&error.to_string()),
        }
    }
}

impl<E: Into<InfrastructureError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Infrastructure(error.into())
    }
}
