//! Which artifacts a command boots.

use std::path::{Path, PathBuf};

use clap::Args;

use runner::Project;
use runner::artifacts::{Artifacts, ArtifactsError};

use super::progress::BuildProgress;
use crate::environment;

/// The environment variable with the path of a kernel to boot instead of the project's.
pub const KERNEL_VARIABLE: &str = "HARNESS_KERNEL";
/// The environment variable with the path of an initrd to boot instead of the project's.
pub const INITRD_VARIABLE: &str = "HARNESS_INITRD";

/// The artifacts to boot instead of those of the project.
#[derive(Debug, Clone, Default, Args)]
pub struct Given {
    /// Boot this kernel instead of the recorded kernel or that of the tree
    #[arg(long, value_name = "FILE", requires = "initrd", env = KERNEL_VARIABLE)]
    kernel: Option<PathBuf>,
    /// Boot this initrd
    #[arg(long, value_name = "FILE", requires = "kernel", env = INITRD_VARIABLE)]
    initrd: Option<PathBuf>,
}

/// Why the artifacts are not available.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// One of the two variables is set without the other.
    #[error(
        "{set} is set, but {missing} is not; hint: set both, or neither to boot the artifacts of this tree"
    )]
    Half {
        /// The variable that is set.
        set: &'static str,
        /// The variable that is not.
        missing: &'static str,
    },
    /// A given file cannot be booted.
    #[error("the {kind} {} {why}", file.display())]
    Unusable {
        /// Kernel or initrd.
        kind: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A variable cannot be read.
    #[error(transparent)]
    Environment(#[from] clap::Error),
    /// The build failed.
    #[error(transparent)]
    Build(#[from] ArtifactsError),
}

impl Given {
    /// The given files.
    ///
    /// # Errors
    /// Only one is given, or one cannot be booted.
    pub fn artifacts(&self) -> Result<Option<Artifacts>, ObtainError> {
        let half = |set, missing| Err(ObtainError::Half { set, missing });
        match (&self.kernel, &self.initrd) {
            (None, None) => Ok(None),
            (Some(_), None) => half(KERNEL_VARIABLE, INITRD_VARIABLE),
            (None, Some(_)) => half(INITRD_VARIABLE, KERNEL_VARIABLE),
            (Some(kernel), Some(initrd)) => Ok(Some(Artifacts {
                kernel: usable("kernel", kernel)?,
                initrd: usable("initrd", initrd)?,
            })),
        }
    }
}

/// Returns the given files, or the artifacts of the project, which are built first if the sources changed.
///
/// # Errors
/// See [`ObtainError`].
pub fn obtain(project: &Project, given: &Given) -> Result<Artifacts, ObtainError> {
    match given.artifacts()? {
        Some(artifacts) => Ok(artifacts),
        None => build(project),
    }
}

/// As [`obtain`], for tests and benchmarks: the files that the environment names count as given.
///
/// # Errors
/// See [`ObtainError`].
pub fn of_environment(project: &Project) -> Result<Artifacts, ObtainError> {
    obtain(project, &environment::options::<Given>()?)
}

/// Builds the OS of a project, with the progress on stderr.
///
/// # Errors
/// The build failed.
pub fn build(project: &Project) -> Result<Artifacts, ObtainError> {
    let mut shown = BuildProgress::new();
    let built = Artifacts::build(project.root(), &mut |progress| shown.show(progress));
    shown.end();
    Ok(built?)
}

/// Checks that the file is a non-empty regular file.
fn usable(kind: &'static str, file: &Path) -> Result<PathBuf, ObtainError> {
    let file = file.to_owned();
    let why = match std::fs::metadata(&file) {
        Err(error) => format!("cannot be read: {error}"),
        Ok(found) if !found.is_file() => "is not a file".into(),
        Ok(found) if found.len() == 0 => "is empty".into(),
        Ok(_) => return Ok(file),
    };
    Err(ObtainError::Unusable { kind, file, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_given_in_pairs_of_usable_files() {
        let folder = tempfile::tempdir().unwrap();
        let given = |kernel: Option<&str>, initrd: Option<&str>| Given {
            kernel: kernel.map(|name| folder.path().join(name)),
            initrd: initrd.map(|name| folder.path().join(name)),
        };
        std::fs::write(folder.path().join("vmlinuz"), "kernel").unwrap();
        std::fs::write(folder.path().join("empty"), "").unwrap();
        let error = |given: Given| given.artifacts().unwrap_err().to_string();
        assert!(given(None, None).artifacts().unwrap().is_none());
        assert!(
            given(Some("vmlinuz"), Some("vmlinuz"))
                .artifacts()
                .unwrap()
                .is_some()
        );
        assert!(error(given(Some("vmlinuz"), None)).contains("HARNESS_INITRD is not"));
        assert!(error(given(Some("vmlinuz"), Some("empty"))).ends_with("empty is empty"));
        assert!(error(given(Some("gone"), Some("empty"))).contains("gone cannot be read"));
    }
}
