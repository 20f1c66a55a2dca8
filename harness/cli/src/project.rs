//! Where things are: the folders of the tree whose scenarios are run.

use std::path::{Path, PathBuf};

use machine::profile::{self, Profile};
use scenario::{self, Scenario};
use yaml::SourceError;

/// A tree with `scenarios/` and `qemu-profiles/`.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// The tree around the current folder, else the one that this program was built from.
    pub fn find() -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let around = here.ancestors().find(|folder| Self::is_one(folder));
        Self {
            root: around.map_or_else(Self::built_from, Path::to_owned),
        }
    }

    /// The tree in a folder.
    pub fn at(root: &Path) -> Self {
        Self { root: root.into() }
    }

    fn is_one(folder: &Path) -> bool {
        folder.join("scenarios").is_dir() && folder.join("qemu-profiles").is_dir()
    }

    fn built_from() -> PathBuf {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        package.ancestors().nth(2).unwrap_or(package).to_owned()
    }

    /// The root of the tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where scenarios are.
    pub fn scenarios_folder(&self) -> PathBuf {
        self.short(self.root.join("scenarios"))
    }

    /// Where profiles are.
    pub fn profiles_folder(&self) -> PathBuf {
        self.short(self.root.join("qemu-profiles"))
    }

    /// Where trials leave what they saw.
    pub fn evidence_folder(&self) -> PathBuf {
        self.root.join("target/evidence")
    }

    /// Where machines lie that trials go on from.
    pub fn checkpoints_folder(&self) -> PathBuf {
        self.root.join("target/checkpoints")
    }

    /// Where it is kept how long trials took.
    pub fn history_file(&self) -> PathBuf {
        self.root.join("target/history.json")
    }

    /// How long trials take, for runs that share them between one another.
    pub fn durations_file(&self) -> PathBuf {
        self.short(self.root.join("ci/durations.json"))
    }

    /// Where it is kept how boots went.
    pub fn history_folder(&self) -> PathBuf {
        self.root.join("target/history")
    }

    /// Where `harness run` keeps its machine's disk.
    pub fn state_folder(&self) -> PathBuf {
        self.root.join("target/run")
    }

    /// A path as short as the user would write it.
    fn short(&self, path: PathBuf) -> PathBuf {
        let here = std::env::current_dir().unwrap_or_default();
        match path.strip_prefix(here) {
            Ok(short) if short.as_os_str().is_empty() => ".".into(),
            Ok(short) => short.to_owned(),
            Err(_) => path,
        }
    }

    /// Reads all profiles.
    ///
    /// # Errors
    /// What is wrong in the first one that is.
    pub fn profiles(&self) -> Result<Vec<Profile>, SourceError> {
        profile::load_all(&self.profiles_folder())
    }

    /// Reads all profiles and scenarios, with the setups that these go on from.
    ///
    /// # Errors
    /// All that is wrong in them.
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
