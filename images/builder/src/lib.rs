//! Builds what the machine is made of: definitions in `images/` and the binaries of `os/` into
//! `dist/artifacts/vmlinuz`, `dist/artifacts/initrd` and a manifest.

use std::path::{Path, PathBuf};

/// What a build leaves in `dist/artifacts`.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// The kernel.
    pub kernel: PathBuf,
    /// The whole rest of the OS.
    pub initrd: PathBuf,
    /// Every package and version inside, and the sizes.
    pub manifest: PathBuf,
}

/// What happens during a build, for whoever shows it.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A step begins, e.g. `fetching packages`.
    Begin(&'a str),
    /// The step was not needed: its result is kept from before.
    Kept(&'a str),
    /// The step is done.
    Done(&'a str),
    /// A line that a program printed meanwhile.
    Line(&'a str),
}

/// Why a build failed: the step, the reason, what to do.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {why}")]
pub struct BuildError {
    /// The step.
    pub step: String,
    /// What happened.
    pub why: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

/// Brings `WORKSPACE/dist/artifacts` up to date with the sources; does little when nothing changed.
///
/// # Errors
/// See [`BuildError`].
pub fn build(
    workspace: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Artifacts, BuildError> {
    let _ = (workspace, progress);
    todo!()
}
