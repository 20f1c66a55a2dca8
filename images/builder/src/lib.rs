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
mod computer;
mod definition;
mod initrd;
mod libraries;
mod manifest;
mod modules;
mod packages;
mod program;
mod publish;
mod root;
mod system;
mod tree;

use std::path::{Path, PathBuf};

pub use computer::{Computer, computer};
pub use manifest::{Manifest, Package, Sizes};
pub use publish::{Published, publish, within_reach};

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
    /// In a line: what was being done, and the first thing that apt or the like calls an error.
    pub fn short(&self) -> String {
        let mut lines = self.why.lines().map(str::trim);
        let first = lines.clone().next().unwrap_or_default();
        let why = lines.find(|line| line.starts_with("E: ")).unwrap_or(first);
        format!("failed to {}: {why}", self.step)
    }

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

impl<T, E: std::error::Error> Context<T> for std::result::Result<T, E> {
    fn context(self, step: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| BuildError::new(step(), causes(&error)))
    }
}

/// An error and what caused it, which some leave out of their own text: a full disk, say.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
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

    /// The workspace's build lock; what a build that was cut off left half-made is removed.
    fn lock(&self) -> Result<impl Drop + use<>> {
        let lock = cache::lock(&self.cache)?;
        for folder in [&self.cache, &self.artifacts] {
            cache::sweep(folder, cache::HALF_MADE, Path::new(""));
        }
        Ok(lock)
    }
}

/// Brings `WORKSPACE/dist/artifacts` up to date with the sources; does little when nothing changed.
/// Builds of one workspace wait for each other.
///
/// # Errors
/// See [`BuildError`].
pub fn build(workspace: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Artifacts> {
    let layout = Layout::of(workspace);
    let _lock = layout.lock()?;
    let definitions = definition::of_the_os(definition::load_all(&layout.definitions)?);
    let packages = packages::fetch(&layout, definition::packages(&definitions), progress)?;
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
    let _lock = layout.lock()?;
    packages::forget(&layout)
}

/// What the parts of a build's artifacts weigh, compressed as they are shipped.
///
/// # Errors
/// There is no build, or measuring fails.
pub fn sizes(workspace: &Path) -> Result<Sizes> {
    let layout = Layout::of(workspace);
    let _lock = layout.lock()?;
    let definitions = definition::of_the_os(definition::load_all(&layout.definitions)?);
    let packages = packages::fetch(&layout, definition::packages(&definitions), &mut |_| ())?;
    manifest::sizes(&layout, &definitions, &packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_swept_away_and_the_rest_stays() {
        let workspace = tempfile::tempdir().unwrap();
        let layout = Layout::of(workspace.path());
        std::fs::create_dir_all(&layout.cache).unwrap();
        let half = tempfile::tempdir_in(&layout.cache).unwrap().keep();
        std::fs::write(half.join("part"), "").unwrap();
        let whole = layout.cache.join("packages-1");
        std::fs::create_dir(&whole).unwrap();
        drop(layout.lock().unwrap());
        assert!(!half.exists() && whole.exists());
    }
}
