//! Why a past trial cannot be used.

use std::io;
use std::path::PathBuf;

use crate::evidence;
use crate::trial::InfrastructureError;
use machine::SnapshotError;
use yaml::{SourceError, render_all};

/// Why a past trial cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The folder has no start marker.
    #[error("{} is not the evidence of a trial: it has no trial.json", folder.display())]
    NoEvidence {
        /// The folder.
        folder: PathBuf,
    },
    /// Another version of the harness wrote the folder.
    #[error(
        "{} is evidence of version {version}, but this harness reads version {}; \
         hint: run the trial again",
        folder.display(),
        evidence::VERSION
    )]
    Version {
        /// The folder.
        folder: PathBuf,
        /// Its format version.
        version: u64,
    },
    /// There is no failure snapshot.
    #[error(
        "no failure snapshot in {folder}: {why}; hint: run the trial again with `harness replay {folder}`",
        folder = folder.display()
    )]
    NoSnapshot {
        /// The folder.
        folder: PathBuf,
        /// Why it has none.
        why: String,
    },
    /// The trial had other machines.
    #[error("{}", machines(names))]
    Machine {
        /// Their names; none if it had only one machine.
        names: Vec<String>,
    },
    /// The failure snapshot is damaged.
    #[error("{source}; hint: run the trial again with `harness replay {}`", folder.display())]
    Snapshot {
        /// The folder.
        folder: PathBuf,
        /// What is missing or corrupt.
        source: SnapshotError,
    },
    /// A file of the evidence cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file or folder.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The evidence contains a symbolic link, or a special file.
    #[error("{} is {what}", file.display())]
    Link {
        /// The file.
        file: PathBuf,
        /// What the file is.
        what: &'static str,
    },
    /// A recorded name would lead out of the evidence.
    #[error("`{}` is not a valid name", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// The recorded scenario, setups or profile have errors.
    #[error("{}", render_all(.0, false))]
    Source(Vec<SourceError>),
    /// The artifacts that the trial booted do not exist any more.
    #[error(
        "cannot find the artifacts that the trial booted:\n  {}\nhint: {}",
        differences.join("\n  "),
        if *any {
            "pass --kernel and --initrd"
        } else {
            "pass them with --kernel and --initrd, or boot the present ones with --any-artifacts"
        }
    )]
    Artifacts {
        /// What differs in each candidate.
        differences: Vec<String>,
        /// Whether other artifacts are accepted.
        any: bool,
    },
    /// The images of the registry, or the root of the client, differ.
    #[error(
        "cannot find the images of the trial's registry, or the root of its client:\n  {}\n\
         hint: restore images/ as it was then, or serve the present images with --any-artifacts",
        .0.join("\n  ")
    )]
    Images(Vec<String>),
    /// The present images cannot be built.
    #[error(transparent)]
    Serve(#[from] InfrastructureError),
}

fn machines(names: &[String]) -> String {
    if names.is_empty() {
        return "the trial had one machine; hint: leave out --machine".into();
    }
    let names = names.join(", ");
    format!("the trial had the machines {names}; hint: choose one with --machine NAME")
}
