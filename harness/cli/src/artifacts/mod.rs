//! What is booted: a kernel and an initrd, built from this tree or given.

mod progress;

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::project::Project;
use progress::Shown;

/// The variable that names somebody else's kernel.
pub const KERNEL_VARIABLE: &str = "HARNESS_KERNEL";
/// The variable that names somebody else's initrd.
pub const INITRD_VARIABLE: &str = "HARNESS_INITRD";

/// A kernel and an initrd on disk.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// The kernel image.
    pub kernel: PathBuf,
    /// The initrd.
    pub initrd: PathBuf,
}

/// Why there is nothing to boot.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactsError {
    /// One of the two variables without the other.
    #[error(
        "{set} is set and {missing} is not; set both, or neither to boot what this tree builds"
    )]
    Half {
        /// The one that is there.
        set: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A file that a variable names cannot be booted.
    #[error("{variable} names {}, which {why}", file.display())]
    Given {
        /// The variable.
        variable: &'static str,
        /// What it names.
        file: PathBuf,
        /// What is wrong with that.
        why: String,
    },
    /// The lock that keeps two builds apart.
    #[error("the lock {} cannot be had: {why}", file.display())]
    Lock {
        /// The lock's file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// The build.
    #[error("the OS could not be built: {error}{}", hint(error))]
    Build {
        /// What the builder says.
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
    /// What to boot: the files that the environment names, else those of this tree, built first
    /// where sources changed. Builds of many processes happen one after another.
    ///
    /// # Errors
    /// See [`ArtifactsError`].
    pub fn obtain(project: &Project) -> Result<Self, ArtifactsError> {
        match Self::given()? {
            Some(artifacts) => Ok(artifacts),
            None => Self::build(project.root()),
        }
    }

    /// The files that the environment names.
    ///
    /// # Errors
    /// Only one is named, or one cannot be booted.
    pub fn given() -> Result<Option<Self>, ArtifactsError> {
        let named = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
        let half = |set, missing| Err(ArtifactsError::Half { set, missing });
        match (named(KERNEL_VARIABLE), named(INITRD_VARIABLE)) {
            (None, None) => Ok(None),
            (Some(_), None) => half(KERNEL_VARIABLE, INITRD_VARIABLE),
            (None, Some(_)) => half(INITRD_VARIABLE, KERNEL_VARIABLE),
            (Some(kernel), Some(initrd)) => Ok(Some(Self {
                kernel: usable(KERNEL_VARIABLE, kernel.into())?,
                initrd: usable(INITRD_VARIABLE, initrd.into())?,
            })),
        }
    }

    /// Where a tree's own are, built or not.
    pub fn of_tree(project: &Project) -> Self {
        let folder = project.root().join("dist/artifacts");
        Self {
            kernel: folder.join("vmlinuz"),
            initrd: folder.join("initrd"),
        }
    }

    /// Whether both files are.
    pub fn are_there(&self) -> bool {
        self.kernel.is_file() && self.initrd.is_file()
    }

    /// Builds what this tree makes, telling of it on stderr.
    ///
    /// # Errors
    /// The build failed.
    pub fn build(root: &Path) -> Result<Self, ArtifactsError> {
        let _lock = lock(&root.join("target/build.lock"))?;
        let mut shown = Shown::new();
        let built = images::build(root, &mut |progress| shown.tell(&progress));
        shown.end();
        let built = built.map_err(|error| ArtifactsError::Build { error })?;
        Ok(Self {
            kernel: built.kernel,
            initrd: built.initrd,
        })
    }
}

/// A file that somebody named, if there is something in it.
fn usable(variable: &'static str, file: PathBuf) -> Result<PathBuf, ArtifactsError> {
    let why = match std::fs::metadata(&file) {
        Err(error) => format!("cannot be read: {error}"),
        Ok(found) if !found.is_file() => "is no file".into(),
        Ok(found) if found.len() == 0 => "is empty".into(),
        Ok(_) => return Ok(file),
    };
    Err(ArtifactsError::Given {
        variable,
        file,
        why,
    })
}

/// One build at a time; says so when it has to wait.
fn lock(path: &Path) -> Result<Flock<File>, ArtifactsError> {
    let failed = |why: String| ArtifactsError::Lock {
        file: path.into(),
        why,
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    }
    let file = File::create(path).map_err(|error| failed(error.to_string()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => {
            eprintln!("build: waiting for another build of this tree");
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, why)| failed(why.to_string()))
        }
        Err((_, why)) => Err(failed(why.to_string())),
    }
}
