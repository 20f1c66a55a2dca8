//! Reads the evidence of a past trial, for `harness replay` and `harness enter`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::artifacts::Artifacts;
use crate::evidence;
use crate::project::Project;
use events::Verdict;
use machine::FailureSnapshot;
use machine::profile;
use scenario::{self, Action, Known, Setups};
use yaml::{SourceError, render_all};

use super::Trial;
use super::begin::content;
use super::keep::{KEY, MACHINE};
use super::record::{FILE, FileRecord, Record, TREE};
use events::SnapshotOutcome;

/// The evidence of a past trial.
#[derive(Debug)]
pub struct PastTrial {
    folder: PathBuf,
    result: Value,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastOutcome {
    /// Its verdict.
    pub verdict: Verdict,
    /// The number of the failed step.
    pub step: Option<usize>,
}

impl PastTrial {
    /// Opens an evidence folder.
    ///
    /// # Errors
    /// The folder is not an evidence folder, or has another format version.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let Ok(start) = std::fs::read(folder.join("trial.json")) else {
            return Err(format!(
                "{} is not the evidence of a trial: it has no trial.json",
                folder.display()
            ));
        };
        let start: Value = serde_json::from_slice(&start).unwrap_or_default();
        // Version 1 had no `version` field.
        let version = start["version"].as_u64().unwrap_or(1);
        if version != u64::from(evidence::VERSION) {
            return Err(format!(
                "{} is evidence of version {version}, but this harness reads version {}; \
                 hint: run the trial again",
                folder.display(),
                evidence::VERSION
            ));
        }
        // A killed trial has no result.
        let result = std::fs::read(folder.join("result.json")).unwrap_or_default();
        Ok(Self {
            folder: folder.into(),
            result: serde_json::from_slice(&result).unwrap_or_default(),
        })
    }

    /// The path of the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How the trial ended; `None` if it was killed.
    pub fn ended(&self) -> Option<PastOutcome> {
        let step = self.result["step"].as_u64();
        Some(PastOutcome {
            verdict: serde_json::from_value(self.result["verdict"].clone()).ok()?,
            step: step.and_then(|step| step.try_into().ok()),
        })
    }

    /// The failure snapshot.
    ///
    /// # Errors
    /// Why there is no usable failure snapshot.
    pub fn machine(&self) -> Result<FailureSnapshot, String> {
        let machine = self.snapshot_folder().join(MACHINE);
        let hint = format!(
            "hint: run the trial again with `harness replay {}`",
            self.folder.display()
        );
        if machine.is_dir() {
            return FailureSnapshot::open(&machine).map_err(|why| format!("{why}; {hint}"));
        }
        let why = match (self.snapshot_outcome(), self.ended()) {
            (Some(SnapshotOutcome::NotKept { reason }), _) => reason,
            (Some(SnapshotOutcome::Kept { .. }), _) => {
                "it was removed, because only the newest are kept".into()
            }
            (None, None) => "the trial ended without a verdict".into(),
            (None, Some(_)) => "only a failed trial leaves one".into(),
        };
        let folder = self.folder.display();
        Err(format!("no failure snapshot in {folder}: {why}; {hint}"))
    }

    fn snapshot_outcome(&self) -> Option<SnapshotOutcome> {
        serde_json::from_value(self.result["machine"].clone()).ok()
    }

    /// The evidence folder that holds the failure snapshot: this one, or that of a checkpoint machine
    /// that failed before the trial had its own machine.
    pub fn snapshot_folder(&self) -> PathBuf {
        let own = self.folder.clone();
        let Some(SnapshotOutcome::Kept { folder, .. }) = self.snapshot_outcome() else {
            return own;
        };
        // All evidence may have been moved to another place.
        let name = folder.file_name().unwrap_or_default();
        let beside = own.join("..").join(name);
        let exists = |folder: &PathBuf| folder.join(MACHINE).is_dir();
        let places = [own.clone(), folder, beside];
        places.into_iter().find(exists).unwrap_or(own)
    }

    /// The private key that the machine accepts, if the scenario installs one.
    pub fn key(&self) -> Option<PathBuf> {
        let key = self.snapshot_folder().join(MACHINE).join(KEY);
        key.is_file().then_some(key)
    }

    fn record(&self) -> Result<Record, String> {
        let file = self.folder.join(TREE).join(FILE);
        let in_file = |why: String| format!("{}: {why}", file.display());
        let text = std::fs::read(&file).map_err(|error| in_file(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| in_file(error.to_string()))
    }

    /// The recorded trial, and whether forking was disabled.
    ///
    /// # Errors
    /// What is missing or invalid in the folder.
    pub fn trial(&self, project: &Project) -> Result<(Trial, bool), String> {
        let record = self.record()?;
        let tree = self.folder.join(TREE);
        no_links(&tree)?;
        for name in [&record.profile, &record.scenario] {
            let name = name.as_str();
            if !base::files::is_relative(name) || name.contains('/') {
                return Err(format!("`{}` is not a valid name", name.escape_debug()));
            }
        }
        let tree = Project::at(&tree);
        let wrong = |errors: &[SourceError]| render_all(errors, false);
        let file = |folder: PathBuf, name: &str| folder.join(format!("{name}.yaml"));
        let profile = profile::load(&file(tree.profiles_folder(), &record.profile))
            .map_err(|error| wrong(&[error]))?;
        let scenario = file(tree.scenarios_folder(), &record.scenario);
        let setups = tree.scenarios_folder().join("setups");
        let known = Known {
            profiles: record.profiles,
            setups: Setups::load(&setups).map_err(|errors| wrong(&errors))?,
        };
        let scenario = scenario::load(&scenario, &known).map_err(|errors| wrong(&errors))?;
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

    /// The seed of its power cuts.
    ///
    /// # Errors
    /// What is missing or invalid in the folder.
    pub fn seed(&self) -> Result<Option<u64>, String> {
        Ok(self.record()?.seed)
    }

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
    ) -> Result<Artifacts, String> {
        let record = self.record()?;
        let here = candidates(&record, given, project);
        let mut why = Vec::new();
        for artifacts in &here {
            let found = differences(&record, artifacts);
            if found.is_empty() {
                return Ok(artifacts.clone());
            }
            why.extend(found);
        }
        if any && let Some(existing) = here.into_iter().find(Artifacts::exist) {
            return Ok(existing);
        }
        let hint = if any {
            "pass --kernel and --initrd"
        } else {
            "pass them with --kernel and --initrd, or boot the present ones with --any-artifacts"
        };
        why.dedup();
        let why = why.join("\n  ");
        Err(format!(
            "cannot find the artifacts that the trial booted:\n  {why}\nhint: {hint}"
        ))
    }

    /// Checks that the registry would serve the images that it served then. They are built in this
    /// tree.
    ///
    /// # Errors
    /// An image differs or cannot be built.
    pub fn same_images(&self, trial: &Trial) -> Result<(), String> {
        let was = self.record()?.images;
        let here = trial.served_images().map_err(|why| why.text().to_owned())?;
        let changed = changed_images(&was, &here);
        if changed.is_empty() {
            return Ok(());
        }
        let changed = changed.join("\n  ");
        Err(format!(
            "cannot find the images of the trial's registry, or the root of its client:\n  {changed}\n\
             hint: restore images/ as it was then, or serve the present images with --any-artifacts"
        ))
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
    ) -> Result<Artifacts, String> {
        let exact = self.artifacts(given.clone(), project, false);
        exact.or_else(|why| {
            let any = self.artifacts(given, project, true)?;
            log::info!("a reboot will boot a different build: {why}");
            Ok(any)
        })
    }
}

/// Rejects symbolic links: evidence may come from another person, snapshots are written into its tree, and
/// a link could lead out of it.
fn no_links(folder: &Path) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.symlink_metadata().map_err(unreadable)?.is_symlink() {
        return Err(format!("{} is a symbolic link", folder.display()));
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let path = entry.path();
        if kind.is_dir() {
            no_links(&path)?;
        } else if !kind.is_file() {
            return Err(format!(
                "{} is a symbolic link or a special file",
                path.display()
            ));
        }
    }
    Ok(())
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
fn changed_images(was: &BTreeMap<String, String>, here: &BTreeMap<String, String>) -> Vec<String> {
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
    match content(file) {
        Ok(content) if content == was.content => None,
        Ok(_) => Some(format!(
            "the {what} {} has different content",
            file.display()
        )),
        Err(error) => Some(error.text().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Project {
        Project::at(Path::new("/project"))
    }
    use serde_json::json;

    fn evidence(folder: &Path, result: &Value) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("trial.json"), r#"{"version":2}"#).unwrap();
        std::fs::write(folder.join("result.json"), result.to_string()).unwrap();
    }

    #[test]
    fn snapshot_folder_finds_the_machine_of_a_failed_checkpoint() {
        let parent = tempfile::tempdir().unwrap();
        let [outer, inner] = ["q35-tea", "q35-setup-kettle"].map(|name| parent.path().join(name));
        let machine = json!({ "kept": "yes", "bytes": 1, "folder": inner });
        let result = json!({ "verdict": "failed", "machine": machine });
        evidence(&outer, &result);
        evidence(&inner, &result);
        std::fs::create_dir(inner.join(MACHINE)).unwrap();
        std::fs::write(inner.join(MACHINE).join(KEY), "key").unwrap();
        for folder in [&outer, &inner] {
            let past = PastTrial::open(folder).unwrap();
            assert_eq!(
                (past.snapshot_folder(), past.key().is_some()),
                (inner.clone(), true)
            );
            let why = past.machine().unwrap_err();
            assert!(why.contains("machine.json"), "{why}");
        }

        // Both folders were moved.
        let elsewhere = parent.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        for folder in [&outer, &inner] {
            let name = folder.file_name().unwrap();
            std::fs::rename(folder, elsewhere.join(name)).unwrap();
        }
        let past = PastTrial::open(&elsewhere.join("q35-tea")).unwrap();
        assert!(past.key().is_some());

        std::fs::remove_dir_all(elsewhere.join("q35-setup-kettle").join(MACHINE)).unwrap();
        let why = past.machine().unwrap_err();
        assert!(why.contains("it was removed, because"), "{why}");
    }

    /// Writes the evidence of a trial of this scenario.
    fn recorded(parent: &Path, name: &str, scenario: &str) -> PastTrial {
        let folder = parent.join(name);
        evidence(&folder, &json!({ "verdict": "failed" }));
        let tree = Project::at(&folder.join(TREE));
        let write = |folder: PathBuf, file: &str, text: String| {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(file), text).unwrap();
        };
        let file = json!({ "path": "/nowhere", "content": "" });
        let record = json!({
            "trial": format!("q35::{name}"), "profile": "q35", "scenario": name, "profiles": ["q35"],
            "kernel": file, "initrd": file, "cold": false, "seed": null,
        });
        let profile = "{name: q35, about: x, machine: q35, memory: 64, cpus: 1}".to_owned();
        write(tree.profiles_folder(), "q35.yaml", profile);
        let text = format!("name: {name}\nabout: tea can be made\n{scenario}");
        write(tree.scenarios_folder(), &format!("{name}.yaml"), text);
        write(folder.join(TREE), FILE, record.to_string());
        PastTrial::open(&folder).unwrap()
    }

    #[test]
    fn trial_rejects_evidence_that_leads_out_of_its_folder() {
        let parent = tempfile::tempdir().unwrap();
        let steps = "steps:\n  - ssh: { run: make tea }\n";
        let past = recorded(parent.path(), "tea", steps);
        past.trial(&here()).unwrap();
        let snapshots = past.folder().join(TREE).join("scenarios/snapshots");
        std::os::unix::fs::symlink("/tmp", &snapshots).unwrap();
        let why = past.trial(&here()).unwrap_err();
        assert!(why.contains("snapshots is a symbolic link"), "{why}");
        std::fs::remove_file(&snapshots).unwrap();

        let file = past.folder().join(TREE).join(FILE);
        let record = std::fs::read_to_string(&file).unwrap();
        let other = record.replace("\"scenario\":\"tea\"", "\"scenario\":\"../../tea\"");
        assert_ne!(other, record);
        std::fs::write(&file, other).unwrap();
        let why = past.trial(&here()).unwrap_err();
        assert!(why.contains("`../../tea` is not a valid name"), "{why}");
    }

    #[test]
    fn changed_images_lists_missing_and_different_images() {
        let images = |all: &[(&str, &str)]| {
            let all = all
                .iter()
                .map(|(name, hash)| (name.to_string(), hash.to_string()));
            all.collect::<BTreeMap<_, _>>()
        };
        let was = images(&[("tea:1", "green"), ("cup:1", "blue")]);
        assert!(changed_images(&was, &was).is_empty());
        let here = images(&[("tea:1", "black"), ("cup:2", "blue")]);
        assert_eq!(
            changed_images(&was, &here),
            [
                "cup:1 is not built here",
                "tea:1 has different content: black instead of green"
            ]
        );
        // Evidence from before images were recorded.
        assert!(changed_images(&BTreeMap::new(), &here).is_empty());
    }

    #[test]
    fn served_lists_the_services_of_the_trial() {
        let parent = tempfile::tempdir().unwrap();
        let steps = "steps:\n  - ssh: { run: make tea }\n";
        let asks = "  - time_server: { tell: /tmp/server }\n";
        let registry = "machine: { registry: { images: [base] } }\n";
        let served = |name: &str, scenario: &str| {
            let past = recorded(parent.path(), name, scenario);
            past.trial(&here()).unwrap();
            past.served(&here())
        };
        assert!(served("nothing", steps).is_empty());
        assert_eq!(served("time", &format!("{steps}{asks}")), ["time server"]);
        assert_eq!(
            served("both", &format!("{registry}{steps}{asks}")),
            ["registry", "time server"]
        );
    }
}
