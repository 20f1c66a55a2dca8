//! Records what a replay needs in the evidence: a small tree with the scenario, its snapshots and
//! the profile, and a file that identifies the booted artifacts.

use std::io;
use std::path::Path;

use crate::artifacts::Artifacts;
use crate::content;
use crate::evidence::{Evidence, FileRecord, RECORD, Record, TREE};
use scenario::{Step, sent_files};

use super::definition::Trial;
use super::failure::InfrastructureError;
use super::settings::Settings;

impl Trial {
    /// Records what a replay needs. A failure is only a warning, because the verdict does not depend on it.
    pub(super) fn record(&self, artifacts: &Artifacts, settings: &Settings, evidence: &Evidence) {
        if let Err(error) = self.try_record(artifacts, settings, evidence) {
            log::warn!(
                "{}: cannot record the trial for a replay: {error}",
                self.name()
            );
        }
    }

    fn try_record(
        &self,
        artifacts: &Artifacts,
        settings: &Settings,
        evidence: &Evidence,
    ) -> Result<(), InfrastructureError> {
        let tree = evidence.file(TREE);
        self.copy_sources(&tree)?;
        let record = Record {
            trial: self.name(),
            profile: self.profile.name.clone(),
            scenario: self.scenario.name.clone(),
            profiles: self.scenario.all_profiles().map(str::to_owned).collect(),
            kernel: file_record(&artifacts.kernel)?,
            initrd: file_record(&artifacts.initrd)?,
            images: self.served_images()?,
            cold: settings.checkpoints.is_none(),
            seed: settings.seed,
        };
        let text = serde_json::to_string_pretty(&record).map_err(io::Error::other)?;
        Ok(std::fs::write(tree.join(RECORD), text + "\n")?)
    }

    /// Copies the scenario with its setups and snapshots, and writes the profile as it was read.
    fn copy_sources(&self, tree: &Path) -> io::Result<()> {
        let (scenarios, profiles) = (tree.join("scenarios"), tree.join("qemu-profiles"));
        std::fs::create_dir_all(&scenarios)?;
        std::fs::create_dir_all(&profiles)?;
        let file = &self.scenario.file;
        let mut text = copy(file, &scenarios)?;
        let setups = scenarios.join("setups");
        for setup in &self.scenario.setups {
            std::fs::create_dir_all(&setups)?;
            text += &copy(&setup.file, &setups)?;
        }
        let setups = self.scenario.setups.iter().map(|setup| &setup.steps);
        for steps in setups.chain([&self.scenario.steps]) {
            copy_sent(steps, file.parent().unwrap_or(file), &scenarios)?;
        }
        copy_snapshots(&text, &self.snapshots(), &scenarios.join("snapshots"))?;
        let profile = serde_yaml::to_string(&self.profile).map_err(io::Error::other)?;
        std::fs::write(
            profiles.join(format!("{}.yaml", self.profile.name)),
            profile,
        )
    }
}

fn file_record(file: &Path) -> Result<FileRecord, InfrastructureError> {
    Ok(FileRecord {
        path: std::path::absolute(file)?,
        content: content::hash(file)?,
    })
}

/// Copies a file into a folder and returns its text.
fn copy(file: &Path, folder: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(file)?;
    std::fs::write(folder.join(file.file_name().unwrap_or_default()), &text)?;
    Ok(text)
}

/// Copies the files of the project that steps upload.
fn copy_sent(steps: &[Step], from: &Path, to: &Path) -> io::Result<()> {
    for name in sent_files(steps) {
        let copy = to.join(name);
        std::fs::create_dir_all(copy.parent().unwrap_or(to))?;
        std::fs::copy(from.join(name), copy)?;
    }
    Ok(())
}

/// Copies the snapshots whose names occur in the scenario. Extra copies are harmless.
fn copy_snapshots(scenario: &str, from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
        let file = entry.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let kept = file
            .extension()
            .is_some_and(|extension| extension == "snap");
        if kept && scenario.contains(&*name) {
            std::fs::create_dir_all(to)?;
            std::fs::copy(&file, to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
