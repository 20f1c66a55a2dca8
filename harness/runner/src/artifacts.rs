//! Boot artifacts: a kernel and an initrd, built from a project or provided by the caller.

use std::fs::File;
use std::path::{Path, PathBuf};

use images::Progress;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::project::Project;

/// A kernel and an initrd on disk.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// The kernel image.
    pub kernel: PathBuf,
    /// The initrd.
    pub initrd: PathBuf,
}

/// Why the artifacts are not available.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactsError {
    /// The lock that serialises builds of one tree cannot be taken.
    #[error("cannot lock {}: {why}", file.display())]
    Lock {
        /// The lock file.
        file: PathBuf,
        /// The cause.
        why: String,
    },
    /// The build failed.
    #[error("cannot build the OS: {error}{}", hint(error))]
    Build {
        /// The builder's error.
        error: images::BuildError,
    },
}

fn hint(error: &images::BuildError) -> String {
    error
        .hint
        .as_ref()
        .map(|hint| format!("\nhint: {hint}"))
        .unwrap_or_default()
}

impl Artifacts {
    /// The paths of a project's artifacts. The files may not exist yet.
    pub fn of_project(project: &Project) -> Self {
        let folder = project.root().join("dist/artifacts");
        Self {
            kernel: folder.join("vmlinuz"),
            initrd: folder.join("initrd"),
        }
    }

    /// Whether both files exist.
    pub fn exist(&self) -> bool {
        self.kernel.is_file() && self.initrd.is_file()
    }

    /// Builds the OS of a project if its sources changed and reports each build step to `progress`. A lock
    /// file serialises builds of several processes.
    ///
    /// # Errors
    /// The build failed.
    pub fn build(
        root: &Path,
        progress: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<Self, ArtifactsError> {
        let _lock = lock(&root.join("target/build.lock"))?;
        let built = images::build(root, &mut |step| progress(&step));
        let built = built.map_err(|error| ArtifactsError::Build { error })?;
        Ok(Self {
            kernel: built.kernel,
            initrd: built.initrd,
        })
    }
}

/// Takes the build lock, and logs a message if another build holds it.
fn lock(path: &Path) -> Result<Flock<File>, ArtifactsError> {
    let failed = |why: String| ArtifactsError::Lock {
        file: path.into(),
        why,
    };
    std::fs::create_dir_all(base::files::directory(path))
        .map_err(|error| failed(error.to_string()))?;
    let file = File::create(path).map_err(|error| failed(error.to_string()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => {
            log::info!("waiting for another build of this tree");
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, why)| failed(why.to_string()))
        }
        Err((_, why)) => Err(failed(why.to_string())),
    }
}
