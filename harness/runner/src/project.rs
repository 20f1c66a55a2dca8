//! The folders of the tree whose scenarios are run.

use std::path::{Path, PathBuf};

use machine::profile::{self, Profile};
use scenario::{self, Scenario};
use yaml::SourceError;

/// A tree with `scenarios/` and `qemu-profiles/`.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    working_dir: PathBuf,
}

impl Project {
    /// The project in the directory `root`. Paths below `working_dir` are shown relative to it.
    pub fn new(root: impl Into<PathBuf>, working_dir: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            working_dir: working_dir.into(),
        }
    }

    /// The project in a directory. Its paths are shown in full.
    pub fn at(root: &Path) -> Self {
        Self::new(root, PathBuf::new())
    }

    /// Whether a directory looks like the root of a project.
    pub fn is_root(folder: &Path) -> bool {
        folder.join("scenarios").is_dir() && folder.join("qemu-profiles").is_dir()
    }

    /// The root of the tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the scenarios.
    pub fn scenarios_folder(&self) -> PathBuf {
        self.short(self.root.join("scenarios"))
    }

    /// The folder of the profiles.
    pub fn profiles_folder(&self) -> PathBuf {
        self.short(self.root.join("qemu-profiles"))
    }

    /// The folder for the evidence of trials.
    pub fn evidence_folder(&self) -> PathBuf {
        self.root.join("target/evidence")
    }

    /// The folder of the checkpoints.
    pub fn checkpoints_folder(&self) -> PathBuf {
        self.root.join("target/checkpoints")
    }

    /// The file with the durations of trials on this host.
    pub fn history_file(&self) -> PathBuf {
        self.root.join("target/history.json")
    }

    /// The committed durations of trials, by which shards are balanced.
    pub fn durations_file(&self) -> PathBuf {
        self.short(self.root.join("ci/durations.json"))
    }

    /// The folder with the timelines of past boots.
    pub fn history_folder(&self) -> PathBuf {
        self.root.join("target/history")
    }

    /// The folder for the state disk of `harness run`.
    pub fn state_folder(&self) -> PathBuf {
        self.root.join("target/run")
    }

    /// A path as the user would type it in the working directory.
    pub fn short(&self, path: PathBuf) -> PathBuf {
        if self.working_dir.as_os_str().is_empty() {
            return path;
        }
        match path.strip_prefix(&self.working_dir) {
            Ok(short) if short.as_os_str().is_empty() => ".".into(),
            Ok(short) => short.to_owned(),
            Err(_) => path,
        }
    }

    /// Reads all profiles.
    ///
    /// # Errors
    /// The first profile with an error.
    pub fn profiles(&self) -> Result<Vec<Profile>, SourceError> {
        profile::load_all(&self.profiles_folder())
    }

    /// Reads all profiles and scenarios, with their setups.
    ///
    /// # Errors
    /// All errors in these files.
    pub fn load(&self) -> Result<(Vec<Profile>, Vec<Scenario>), Vec<SourceError>> {
        let profiles = self.profiles().map_err(|error| vec![error])?;
        let names = profiles
            .iter()
            .map(|profile| profile.name.clone())
            .collect();
        let scenarios = scenario::load_all(&self.scenarios_folder(), names)?;
        Ok((profiles, scenarios))
    }
}
