//! What a command boots: the files that the environment names, else those of the project, built first.

mod progress;

use std::path::PathBuf;

use runner::Project;
pub use runner::artifacts::{Artifacts, ArtifactsError};

use progress::Shown;

/// The variable that names a kernel that was not built from the project.
pub const KERNEL_VARIABLE: &str = "HARNESS_KERNEL";
/// The variable that names an initrd that was not built from the project.
pub const INITRD_VARIABLE: &str = "HARNESS_INITRD";

/// Why there is nothing to boot.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// One of the two variables is set without the other.
    #[error(
        "{set} is set and {missing} is not; set both, or neither to boot what this tree builds"
    )]
    Half {
        /// The variable that is set.
        set: &'static str,
        /// The variable that is not.
        missing: &'static str,
    },
    /// A file that a variable names cannot be booted.
    #[error("{variable} names {}, which {why}", file.display())]
    Given {
        /// The variable.
        variable: &'static str,
        /// The file that it names.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The build.
    #[error(transparent)]
    Build(#[from] ArtifactsError),
}

/// What to boot: the files that the environment names, else those of the project, built first if its
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

/// Builds the OS of a project and shows the progress on stderr.
///
/// # Errors
/// The build failed.
pub fn build(project: &Project) -> Result<Artifacts, ObtainError> {
    let mut shown = Shown::new();
    let built = Artifacts::build(project.root(), &mut |progress| shown.tell(progress));
    shown.end();
    Ok(built?)
}

/// The files that the environment names.
///
/// # Errors
/// Only one is named, or one cannot be booted.
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

/// A file that somebody named, if there is something in it.
fn usable(variable: &'static str, file: PathBuf) -> Result<PathBuf, ObtainError> {
    let why = match std::fs::metadata(&file) {
        Err(error) => format!("cannot be read: {error}"),
        Ok(found) if !found.is_file() => "is no file".into(),
        Ok(found) if found.len() == 0 => "is empty".into(),
        Ok(_) => return Ok(file),
    };
    Err(ObtainError::Given {
        variable,
        file,
        why,
    })
}
