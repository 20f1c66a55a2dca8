//! Builds what the machine is made of: the definitions in `images/` and the binaries of `os/` become
//! `dist/artifacts/vmlinuz`, `dist/artifacts/initrd` and a manifest of all that is inside.
//!
//! Each step keeps its result under `target/images/`, keyed by the hash of all that went into it,
//! and is skipped when that has not changed. Every result is written beside its place and renamed,
//! so an interrupted build leaves nothing that a later one would take for whole.
//!
//! Not its job: starting machines, or knowing what the OS does with the files.

mod archive;
mod binaries;
mod cache;
mod definition;
mod initrd;
mod libraries;
mod manifest;
mod modules;
mod packages;
mod program;
mod root;
mod tree;

use std::path::{Path, PathBuf};

pub use manifest::{Manifest, Package, Sizes};

/// What a build leaves in `dist/artifacts`.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// The kernel.
    pub kernel: PathBuf,
    /// All of the OS but the kernel.
    pub initrd: PathBuf,
    /// Every package and version inside, and the sizes.
    pub manifest: PathBuf,
}

/// What happens during a build, for whoever shows it.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A step begins, e.g. `packages`.
    Begin(&'a str),
    /// The step was not needed: its result is kept from before.
    Kept(&'a str),
    /// The step is done.
    Done(&'a str),
}

/// Why a build failed: the step, the reason, what to do.
#[derive(Debug, thiserror::Error)]
#[error("failed to {step}: {why}")]
pub struct BuildError {
    /// What was being done, to be read after "failed to".
    pub step: String,
    /// What happened.
    pub why: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl BuildError {
    pub(crate) fn new(step: impl Into<String>, why: impl std::fmt::Display) -> Self {
        let (step, why) = (step.into(), why.to_string());
        let hint = why
            .contains("No space left on device")
            .then(|| "free some disk space; `target/images` holds what builds keep".to_owned());
        Self { step, why, hint }
    }
}

pub(crate) type Result<T> = std::result::Result<T, BuildError>;

/// Gives an error its context: what was being done.
pub(crate) trait Context<T> {
    fn context(self, step: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: std::fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, step: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| BuildError::new(step(), error))
    }
}

/// Where a build reads and writes.
#[derive(Debug)]
pub(crate) struct Layout {
    pub workspace: PathBuf,
    pub definitions: PathBuf,
    pub cache: PathBuf,
    pub artifacts: PathBuf,
}

impl Layout {
    fn of(workspace: &Path) -> Self {
        Self {
            workspace: workspace.into(),
            definitions: workspace.join("images"),
            cache: workspace.join("target/images"),
            artifacts: workspace.join("dist/artifacts"),
        }
    }
}

/// Brings `WORKSPACE/dist/artifacts` up to date with the sources; does little when nothing changed.
/// Builds of one workspace wait for each other.
///
/// # Errors
/// See [`BuildError`].
pub fn build(workspace: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Artifacts> {
    let layout = Layout::of(workspace);
    let _lock = cache::lock(&layout.cache)?;
    let definitions = definition::load_all(&layout.definitions)?;
    let packages = packages::fetch(&layout, &definitions, progress)?;
    let large = root::archive(&layout, &definitions, &packages, progress)?;
    let programs = binaries::build(&layout, progress)?;
    initrd::assemble(&layout, &definitions, &packages, &large, &programs)
}

/// Fetches the packages anew at the next build, in the versions of that day.
///
/// # Errors
/// The kept ones cannot be removed.
pub fn forget_packages(workspace: &Path) -> Result<()> {
    let layout = Layout::of(workspace);
    let _lock = cache::lock(&layout.cache)?;
    packages::forget(&layout)
}

/// What the parts of a build's artifacts weigh, compressed as they are shipped.
///
/// # Errors
/// There is no build, or measuring fails.
pub fn sizes(workspace: &Path) -> Result<Sizes> {
    let layout = Layout::of(workspace);
    let _lock = cache::lock(&layout.cache)?;
    let definitions = definition::load_all(&layout.definitions)?;
    let packages = packages::fetch(&layout, &definitions, &mut |_| ())?;
    manifest::sizes(&layout, &definitions, &packages)
}
