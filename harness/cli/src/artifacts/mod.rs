//! The artifacts that a command boots: the files that the environment names, or those of the project, which are
//! built first.

mod progress;

use std::path::PathBuf;

use runner::Project;
pub use runner::artifacts::{Artifacts, ArtifactsError};

use progress::BuildProgress;

/// The environment variable with the path of a kernel to boot instead of the project's.
pub const KERNEL_VARIABLE: &str = "HARNESS_KERNEL";
/// The environment variable with the path of an initrd to boot instead of the project's.
pub const INITRD_VARIABLE: &str = "HARNESS_INITRD";

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
    /// A file that a variable names cannot be booted.
    #[error("{variable}: {} {why}", file.display())]
    Given {
        /// The variable.
        variable: &'static str,
        /// The file that it names.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The build failed.
    #[error(transparent)]
    Build(#[from] ArtifactsError),
}

/// Returns the files that the environment names, or the artifacts of the project, which are built first if the
/// sources changed.
///
/// # Errors
/// See [`ObtainError`].
pub fn obtain(project: &Project) -> Result<Artifacts, ObtainError> {
    match given()? {
        Some(artifacts) => Ok(artifacts),
        None => build(project),
    }
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

/// Returns the files that the environment names.
///
/// # Errors
/// Only one variable is set, or a file cannot be booted.
pub fn given() -> Result<Option<Artifacts>, ObtainError> {
    let named = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
    let half = |set, missing| Err(ObtainError::Half { set, missing });
    match (named(KERNEL_VARIABLE), named(INITRD_VARIABLE)) {
        (None, None) => Ok(None),
        (Some(_), None) => half(KERNEL_VARIABLE, INITRD_VARIABLE),
        (None, Some(_)) => half(INITRD_VARIABLE, KERNEL_VARIABLE),
        (Some(kernel), Some(initrd)) => Ok(Some(Artifacts {
            kernel: usable(KERNEL_VARIABLE, kernel.into())?,
            initrd: usable(INITRD_VARIABLE, initrd.into())?,
        })),
    }
}

/// Checks that the file is a non-empty regular file.
fn usable(variable: &'static str, file: PathBuf) -> Result<PathBuf, ObtainError> {
    let why = match std::fs::metadata(&file) {
        Err(error) => format!("cannot be read: {error}"),
        Ok(found) if !found.is_file() => "is not a file".into(),
        Ok(found) if found.len() == 0 => "is empty".into(),
        Ok(_) => return Ok(file),
    };
    Err(ObtainError::Given {
        variable,
        file,
        why,
    })
}
