//! The artifacts that a command boots: the given files, or those of the project, which are built first.

mod obtain;
mod progress;

pub use obtain::{
    Given, INITRD_VARIABLE, KERNEL_VARIABLE, ObtainError, build, obtain, of_environment,
};
pub use runner::artifacts::{Artifacts, ArtifactsError};
