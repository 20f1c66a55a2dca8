//! Profiles: the machines that QEMU can pretend to be (`qemu-profiles/*.yaml`), strictly read.
// OWNER: machine branch.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::source::SourceError;

/// One file of `qemu-profiles/`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name; the file is called `NAME.yaml`.
    pub name: String,
    /// What it stands for.
    pub about: String,
    // machine, memory (MiB), cpus, accel (auto, kvm, tcg), firmware or direct kernel, disks,
    // network, extra kernel arguments: to be filled in.
}

/// All profiles of a folder, by name.
///
/// # Errors
/// The first file that is wrong.
pub fn load_all(folder: &Path) -> Result<Vec<Profile>, SourceError> {
    let _ = folder;
    todo!()
}

/// Why this host cannot run a profile, said so that a person knows what to install.
#[derive(Debug, Clone, thiserror::Error)]
#[error("profile {profile}: {why}; {hint}")]
pub struct Unreachable {
    /// Profile name.
    pub profile: String,
    /// What is missing.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// A profile with everything decided for this host: accelerator, paths of firmware.
#[derive(Debug, Clone)]
pub struct ResolvedProfile {
    /// The file's content.
    pub profile: Profile,
    /// `qemu-system-x86_64` as found.
    pub qemu: PathBuf,
    // accelerator, firmware paths, ...
}

impl Profile {
    /// Resolves against the host, without the KVM proof (cheap; used at list time).
    ///
    /// # Errors
    /// What this host lacks.
    pub fn check_host(&self) -> Result<(), Unreachable> {
        todo!()
    }

    /// Resolves against the host; `accel: auto` uses the (cached) proof with `kernel`.
    ///
    /// # Errors
    /// What this host lacks.
    pub fn resolve(&self, kernel: &Path) -> Result<ResolvedProfile, Unreachable> {
        let _ = kernel;
        todo!()
    }
}
