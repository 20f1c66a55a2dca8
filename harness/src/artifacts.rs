//! What is booted: a kernel and an initrd, built from this tree or given.
// OWNER: scenario branch.

use std::path::PathBuf;

/// A kernel and an initrd on disk.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// The kernel image.
    pub kernel: PathBuf,
    /// The initrd.
    pub initrd: PathBuf,
}
