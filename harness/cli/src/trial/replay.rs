//! A trial run again from what its evidence holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::artifacts::Artifacts;
use crate::project::Project;
use events::Verdict;
use machine::Kept;
use machine::profile;
use scenario::{self, Action, Known, Setups};
use yaml::{SourceError, render_all};

use super::Trial;
use super::begin::content;
use super::keep::{KEY, MACHINE};
use super::record::{FILE, FileRecord, Record, TREE};
use events::Fate;

/// An evidence folder that was left by a trial.
#[derive(Debug)]
pub struct Past {
    folder: PathBuf,
    result: Value,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its verdict.
    pub verdict: Verdict,
    /// The number of the red step.
    pub step: Option<usize>,
}

impl Past {
    /// Looks at a folder.
    ///
    /// # Errors
    /// It is no evidence folder.
    pub fn open(folder: &Path) -> Result<Self, String> {
        if !folder.join("trial.json").is_file() {
            return Err(format!(
                "{} is no evidence of a trial: there is no trial.json in it",
                folder.display()
            ));
        }
        // A trial that was killed has none.
        let result = std::fs::read(folder.join("result.json")).unwrap_or_default();
        Ok(Self {
            folder: folder.into(),
            result: serde_json::from_slice(&result).unwrap_or_default(),
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How it ended; none where it was killed.
    pub fn ended(&self) -> Option<Ended> {
        let step = self.result["step"].as_u64();
        Some(Ended {
            verdict: serde_json::from_value(self.result["verdict"].clone()).ok()?,
            step: step.and_then(|step| step.try_into().ok()),
        })
    }

    /// The machine as it stood.
    ///
    /// # Errors
    /// Why there is none, or none that can be used.
    pub fn machine(&self) -> Result<Kept, String> {
        let machine = self.left().join(MACHINE);
        let instead = format!(
            "`harness replay {}` runs the trial again",
            self.folder.display()
        );
        if machine.is_dir() {
            return Kept::open(&machine).map_err(|why| format!("{why}; {instead}"));
        }
        let why = match (self.fate(), self.ended()) {
            (Some(Fate::No { why }), _) => why,
            (Some(Fate::Yes { .. }), _) => "it was removed since, as only the newest stay".into(),
            (None, None) => "the trial was ended before its verdict".into(),
            (None, Some(_)) => "only a red trial leaves one".into(),
        };
        let folder = self.folder.display();
        Err(format!("no machine was kept in {folder}: {why}; {instead}"))
    }

    fn fate(&self) -> Option<Fate> {
        serde_json::from_value(self.result["machine"].clone()).ok()
    }

    /// The evidence folder that its machine was kept in: this one, or that of a machine that was
    /// made for a checkpoint and failed before the trial had one.
    pub fn left(&self) -> PathBuf {
        let own = self.folder.clone();
        let Some(Fate::Yes { folder, .. }) = self.fate() else {
            return own;
        };
        // Evidence may have been taken elsewhere since, all of it together.
        let name = folder.file_name().unwrap_or_default();
        let beside = own.join("..").join(name);
        let there = |folder: &PathBuf| folder.join(MACHINE).is_dir();
        let places = [own.clone(), folder, beside];
        places.into_iter().find(there).unwrap_or(own)
    }

    /// The key that its machine lets in, where it has one.
    pub fn key(&self) -> Option<PathBuf> {
        let key = self.left().join(MACHINE).join(KEY);
        key.is_file().then_some(key)
    }

    fn record(&self) -> Result<Record, String> {
        let file = self.folder.join(TREE).join(FILE);
        let in_file = |why: String| format!("{}: {why}", file.display());
        let text = std::fs::read(&file).map_err(|error| in_file(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| in_file(error.to_string()))
    }

    /// The trial as it was, and whether machines were booted that could have been forked.
    ///
    /// # Errors
    /// What is missing, or wrong, in the folder.
    pub fn trial(&self) -> Result<(Trial, bool), String> {
        let record = self.record()?;
        let tree = self.folder.join(TREE);
        no_links(&tree)?;
        for name in [&record.profile, &record.scenario] {
            let name = name.as_str();
            if !base::files::is_relative(name) || name.contains('/') {
                return Err(format!("`{}` is no name", name.escape_debug()));
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
        };
        Ok((trial, record.cold))
    }

    /// What the harness served to its machine, which is not there any more when that comes back; as
    /// far as the evidence tells.
    pub fn served(&self) -> Vec<&'static str> {
        let Ok((trial, _)) = self.trial() else {
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
        let servers = servers.map(|(what, _)| what);
        registry.into_iter().chain(servers).collect()
    }

    /// What its power cuts were drawn from.
    ///
    /// # Errors
    /// What is missing, or wrong, in the folder.
    pub fn seed(&self) -> Result<Option<u64>, String> {
        Ok(self.record()?.seed)
    }

    /// What the trial booted: `given`, else where it was then, else what lies in the tree; the first
    /// that has the same content. With `any`, the first that is there at all.
    ///
    /// # Errors
    /// None of them is what the trial booted.
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
        if any && let Some(there) = here.into_iter().find(Artifacts::are_there) {
            return Ok(there);
        }
        let hint = match any {
            true => "give something to boot with --kernel and --initrd",
            false => {
                "give it with --kernel and --initrd, or boot what is here with --any-artifacts"
            }
        };
        why.dedup();
        let why = why.join("\n  ");
        Err(format!(
            "what the trial booted is not here:\n  {why}\n{hint}"
        ))
    }

    /// Makes sure that the registry of the trial's machine would serve what it served then: its images
    /// are made in this tree.
    ///
    /// # Errors
    /// It would serve something else, or an image cannot be made.
    pub fn same_images(&self, trial: &Trial) -> Result<(), String> {
        let was = self.record()?.images;
        let here = trial.served_images().map_err(|why| why.text().to_owned())?;
        let other = other_images(&was, &here);
        if other.is_empty() {
            return Ok(());
        }
        let other = other.join("\n  ");
        Err(format!(
            "the images that the trial's registry served, or its client's root, are not here:\n  {other}\n\
             put images/ back as it was then, or serve what is here with --any-artifacts"
        ))
    }

    /// The same for a machine that runs already and boots it only when it is rebooted: something
    /// else will do, and is told of.
    ///
    /// # Errors
    /// There is nothing at all.
    pub fn artifacts_for_reboot(
        &self,
        given: Option<Artifacts>,
        project: &Project,
    ) -> Result<Artifacts, String> {
        let exactly = self.artifacts(given.clone(), project, false);
        exactly.or_else(|why| {
            let any = self.artifacts(given, project, true)?;
            eprintln!("note: after a reboot it would be another build: {why}");
            Ok(any)
        })
    }
}

/// The evidence may be somebody else's, and snapshots are written into its tree: a link would lead out
/// of it.
fn no_links(folder: &Path) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.symlink_metadata().map_err(unreadable)?.is_symlink() {
        return Err(format!("{} is a link", folder.display()));
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let path = entry.path();
        if kind.is_dir() {
            no_links(&path)?;
        } else if !kind.is_file() {
            return Err(format!("{} is a link or no plain file", path.display()));
        }
    }
    Ok(())
}

fn candidates(record: &Record, given: Option<Artifacts>, project: &Project) -> Vec<Artifacts> {
    let then = Artifacts {
        kernel: record.kernel.path.clone(),
        initrd: record.initrd.path.clone(),
    };
    given.map_or_else(
        || vec![then, Artifacts::of_tree(project)],
        |given| vec![given],
    )
}

fn differences(record: &Record, artifacts: &Artifacts) -> Vec<String> {
    let kernel = differs("kernel", &record.kernel, &artifacts.kernel);
    let initrd = differs("initrd", &record.initrd, &artifacts.initrd);
    kernel.into_iter().chain(initrd).collect()
}

/// Those that are not what they were.
fn other_images(was: &BTreeMap<String, String>, here: &BTreeMap<String, String>) -> Vec<String> {
    let differ = was
        .iter()
        .filter(|(name, hash)| here.get(*name) != Some(hash));
    let told = differ.map(|(name, was)| match here.get(name) {
        Some(here) => format!("{name} has another content: {here} and not {was}"),
        None => format!("{name} is not made here"),
    });
    told.collect()
}

/// Why a file is not the one that was booted.
fn differs(what: &str, was: &FileRecord, file: &Path) -> Option<String> {
    match content(file) {
        Ok(content) if content == was.content => None,
        Ok(_) => Some(format!("the {what} {} has another content", file.display())),
        Err(error) => Some(error.text().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn evidence(folder: &Path, result: &Value) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("trial.json"), "{}").unwrap();
        std::fs::write(folder.join("result.json"), result.to_string()).unwrap();
    }

    #[test]
    fn a_machine_that_failed_before_the_trials_own_is_found_from_the_trial() {
        let parent = tempfile::tempdir().unwrap();
        let [outer, inner] = ["q35-tea", "q35-setup-kettle"].map(|name| parent.path().join(name));
        let machine = json!({ "kept": "yes", "bytes": 1, "folder": inner });
        let result = json!({ "verdict": "red", "machine": machine });
        evidence(&outer, &result);
        evidence(&inner, &result);
        std::fs::create_dir(inner.join(MACHINE)).unwrap();
        std::fs::write(inner.join(MACHINE).join(KEY), "key").unwrap();
        for folder in [&outer, &inner] {
            let past = Past::open(folder).unwrap();
            assert_eq!((past.left(), past.key().is_some()), (inner.clone(), true));
            let why = past.machine().unwrap_err();
            assert!(why.contains("machine.json"), "{why}");
        }

        // Both were taken to another place.
        let elsewhere = parent.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        for folder in [&outer, &inner] {
            let name = folder.file_name().unwrap();
            std::fs::rename(folder, elsewhere.join(name)).unwrap();
        }
        let past = Past::open(&elsewhere.join("q35-tea")).unwrap();
        assert!(past.key().is_some());

        std::fs::remove_dir_all(elsewhere.join("q35-setup-kettle").join(MACHINE)).unwrap();
        let why = past.machine().unwrap_err();
        assert!(why.contains("it was removed since"), "{why}");
    }

    /// The evidence of a trial of this scenario.
    fn recorded(parent: &Path, name: &str, scenario: &str) -> Past {
        let folder = parent.join(name);
        evidence(&folder, &json!({ "verdict": "red" }));
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
        Past::open(&folder).unwrap()
    }

    #[test]
    fn foreign_evidence_that_leads_out_of_its_folder_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let steps = "steps:\n  - ssh: { run: make tea }\n";
        let past = recorded(parent.path(), "tea", steps);
        past.trial().unwrap();
        let snapshots = past.folder().join(TREE).join("scenarios/snapshots");
        std::os::unix::fs::symlink("/tmp", &snapshots).unwrap();
        let why = past.trial().unwrap_err();
        assert!(why.contains("snapshots is a link"), "{why}");
        std::fs::remove_file(&snapshots).unwrap();

        let file = past.folder().join(TREE).join(FILE);
        let record = std::fs::read_to_string(&file).unwrap();
        let other = record.replace("\"scenario\":\"tea\"", "\"scenario\":\"../../tea\"");
        assert_ne!(other, record);
        std::fs::write(&file, other).unwrap();
        let why = past.trial().unwrap_err();
        assert!(why.contains("`../../tea` is no name"), "{why}");
    }

    #[test]
    fn images_that_are_not_what_they_were_are_told() {
        let images = |all: &[(&str, &str)]| {
            let all = all
                .iter()
                .map(|(name, hash)| (name.to_string(), hash.to_string()));
            all.collect::<BTreeMap<_, _>>()
        };
        let was = images(&[("tea:1", "green"), ("cup:1", "blue")]);
        assert!(other_images(&was, &was).is_empty());
        let here = images(&[("tea:1", "black"), ("cup:2", "blue")]);
        assert_eq!(
            other_images(&was, &here),
            [
                "cup:1 is not made here",
                "tea:1 has another content: black and not green"
            ]
        );
        // One of before images were recorded.
        assert!(other_images(&BTreeMap::new(), &here).is_empty());
    }

    #[test]
    fn what_was_served_to_a_machine_is_known_from_its_evidence() {
        let parent = tempfile::tempdir().unwrap();
        let steps = "steps:\n  - ssh: { run: make tea }\n";
        let asks = "  - time_server: { tell: /tmp/server }\n";
        let registry = "machine: { registry: { images: [base] } }\n";
        let served = |name: &str, scenario: &str| {
            let past = recorded(parent.path(), name, scenario);
            past.trial().unwrap();
            past.served()
        };
        assert!(served("nothing", steps).is_empty());
        assert_eq!(served("time", &format!("{steps}{asks}")), ["time server"]);
        assert_eq!(
            served("both", &format!("{registry}{steps}{asks}")),
            ["registry", "time server"]
        );
    }
}
