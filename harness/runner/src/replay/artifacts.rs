//! Whether the artifacts and images of a past trial still exist.

use std::collections::BTreeMap;
use std::path::Path;

use crate::artifacts::Artifacts;
use crate::content;
use crate::evidence::{FileRecord, Record};
use crate::project::Project;
use crate::trial::Trial;

use super::error::ReplayError;
use super::past::PastTrial;

impl PastTrial {
    /// Finds the artifacts that the trial booted. The candidates are `given`, or else the recorded paths
    /// and the artifacts of the project. Returns the first candidate with the recorded content, or, with
    /// `any`, the first that exists.
    ///
    /// # Errors
    /// No candidate matches.
    pub fn artifacts(
        &self,
        given: Option<Artifacts>,
        project: &Project,
        any: bool,
    ) -> Result<Artifacts, ReplayError> {
        let record = self.record()?;
        let here = candidates(&record, given, project);
        let mut differences = Vec::new();
        for artifacts in &here {
            let found = self::differences(&record, artifacts);
            if found.is_empty() {
                return Ok(artifacts.clone());
            }
            differences.extend(found);
        }
        if any && let Some(existing) = here.into_iter().find(Artifacts::exist) {
            return Ok(existing);
        }
        differences.dedup();
        Err(ReplayError::Artifacts { differences, any })
    }

    /// Checks that the registry would serve the images that it served then. They are built in this
    /// tree.
    ///
    /// # Errors
    /// An image differs or cannot be built.
    pub fn same_images(&self, trial: &Trial) -> Result<(), ReplayError> {
        let was = self.record()?.images;
        let here = trial.served_images()?;
        let changed = changed_images(&was, &here);
        if changed.is_empty() {
            return Ok(());
        }
        Err(ReplayError::Images(changed))
    }

    /// The artifacts for a machine that already runs and boots them only on a reboot. Different artifacts
    /// are accepted with a warning.
    ///
    /// # Errors
    /// No artifacts exist.
    pub fn artifacts_for_reboot(
        &self,
        given: Option<Artifacts>,
        project: &Project,
    ) -> Result<Artifacts, ReplayError> {
        let exact = self.artifacts(given.clone(), project, false);
        exact.or_else(|why| {
            let any = self.artifacts(given, project, true)?;
            log::info!("a reboot will boot a different build: {why}");
            Ok(any)
        })
    }
}

fn candidates(record: &Record, given: Option<Artifacts>, project: &Project) -> Vec<Artifacts> {
    let recorded = Artifacts {
        kernel: record.kernel.path.clone(),
        initrd: record.initrd.path.clone(),
    };
    given.map_or_else(
        || vec![recorded, Artifacts::of_project(project)],
        |given| vec![given],
    )
}

fn differences(record: &Record, artifacts: &Artifacts) -> Vec<String> {
    let kernel = differs("kernel", &record.kernel, &artifacts.kernel);
    let initrd = differs("initrd", &record.initrd, &artifacts.initrd);
    kernel.into_iter().chain(initrd).collect()
}

/// Describes the images that are missing or have changed.
pub(super) fn changed_images(
    was: &BTreeMap<String, String>,
    here: &BTreeMap<String, String>,
) -> Vec<String> {
    let differ = was
        .iter()
        .filter(|(name, hash)| here.get(*name) != Some(hash));
    let lines = differ.map(|(name, was)| match here.get(name) {
        Some(here) => format!("{name} has different content: {here} instead of {was}"),
        None => format!("{name} is not built here"),
    });
    lines.collect()
}

/// Why a file is not the one that the trial booted.
fn differs(what: &str, was: &FileRecord, file: &Path) -> Option<String> {
    match content::hash(file) {
        Ok(content) if content == was.content => None,
        Ok(_) => Some(format!(
            "the {what} {} has different content",
            file.display()
        )),
        Err(error) => Some(error.to_string()),
    }
}
