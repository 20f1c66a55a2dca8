//! Builds the artifacts of the OS.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::layout::Layout;
use crate::manifest::{self, Sizes};
use crate::{binaries, definition, initrd, packages, root};

/// The files in `dist/artifacts`.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// The kernel.
    pub kernel: PathBuf,
    /// The rest of the OS.
    pub initrd: PathBuf,
    /// The packages with their versions, and hashes of the other files.
    pub manifest: PathBuf,
}

/// An event of a build, for progress output.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A step starts, e.g. `packages`.
    Started(&'a str),
    /// A step is skipped, because its result is cached.
    Cached(&'a str),
    /// A step has finished.
    Finished(&'a str),
}

/// Brings `WORKSPACE/dist/artifacts` up to date with the sources; skips everything that has not changed.
/// Builds of one workspace wait for each other.
///
/// # Errors
/// See [`crate::BuildError`].
pub fn build(workspace: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Artifacts> {
    let layout = Layout::of(workspace);
    let _lock = layout.lock()?;
    let definitions = definition::of_the_os(definition::load_all(&layout.definitions)?);
    let packages = packages::fetch(&layout, definition::packages(&definitions), progress)?;
    let large = root::archive(&layout, &definitions, &packages, progress)?;
    let programs = binaries::build(&layout, progress)?;
    initrd::assemble(&layout, &definitions, &packages, &large, &programs)
}

/// The sizes of the artifacts, compressed as they are shipped.
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
