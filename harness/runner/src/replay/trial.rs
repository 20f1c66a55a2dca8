//! A past trial as it was recorded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::evidence::TREE;
use crate::project::Project;
use crate::trial::Trial;
use machine::profile;
use scenario::{Action, Known, Setups};

use super::error::ReplayError;
use super::past::PastTrial;

impl PastTrial {
    /// The recorded trial, and whether forking was disabled.
    ///
    /// # Errors
    /// What is missing or invalid in the folder.
    pub fn trial(&self, project: &Project) -> Result<(Trial, bool), ReplayError> {
        let record = self.record()?;
        let tree = self.folder.join(TREE);
        no_links(&tree)?;
        for name in [&record.profile, &record.scenario] {
            let name = name.as_str();
            if !base::files::is_relative(name) || name.contains('/') {
                let name = name.to_owned();
                return Err(ReplayError::Name { name });
            }
        }
        let tree = Project::at(&tree);
        let file = |folder: PathBuf, name: &str| folder.join(format!("{name}.yaml"));
        let profile = profile::load(&file(tree.profiles_folder(), &record.profile))
            .map_err(|error| ReplayError::Source(vec![error]))?;
        let scenario = file(tree.scenarios_folder(), &record.scenario);
        let setups = tree.scenarios_folder().join("setups");
        let known = Known {
            profiles: record.profiles,
            setups: Setups::load(&setups).map_err(ReplayError::Source)?,
        };
        let scenario = scenario::load(&scenario, &known).map_err(ReplayError::Source)?;
        let trial = Trial {
            profile,
            scenario: Arc::new(scenario),
            project: project.clone(),
        };
        Ok((trial, record.cold))
    }

    /// The services that the harness provided to the machine, as far as the evidence records them. They are
    /// not available when the machine is restored.
    pub fn served(&self, project: &Project) -> Vec<&'static str> {
        let Ok((trial, _)) = self.trial(project) else {
            return Vec::new();
        };
        let scenario = &trial.scenario;
        let setups = scenario.setups.iter().flat_map(|setup| &setup.steps);
        let mut steps = setups.chain(&scenario.steps);
        let mut asked = [("time server", false), ("name server", false)];
        for step in steps.by_ref() {
            asked[0].1 |= matches!(step.action, Action::TimeServer(_));
            asked[1].1 |= matches!(step.action, Action::NameServer(_));
        }
        let registry = scenario.machine.registry.as_ref().map(|_| "registry");
        let servers = asked.into_iter().filter(|(_, asked)| *asked);
        let servers = servers.map(|(name, _)| name);
        registry.into_iter().chain(servers).collect()
    }
}

/// Rejects symbolic links: evidence may come from another person, snapshots are written into its tree, and
/// a link could lead out of it.
fn no_links(folder: &Path) -> Result<(), ReplayError> {
    let unreadable = |source| ReplayError::Unreadable {
        file: folder.to_owned(),
        source,
    };
    if folder.symlink_metadata().map_err(unreadable)?.is_symlink() {
        return Err(ReplayError::Link {
            file: folder.to_owned(),
            what: "a symbolic link",
        });
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let path = entry.path();
        if kind.is_dir() {
            no_links(&path)?;
        } else if !kind.is_file() {
            return Err(ReplayError::Link {
                file: path,
                what: "a symbolic link or a special file",
            });
        }
    }
    Ok(())
}
