//! One run of the suite in its own process and its own tree, so that it has its own checkpoints and
//! evidence.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use harness::artifacts::{Artifacts, INITRD_VARIABLE, KERNEL_VARIABLE};
use harness::project::Project;
use harness::suite::COLD_VARIABLE;

use crate::Options;
use crate::common::Result;

/// The folders that a tree needs; the last two are the images of registries and their cache.
const DATA: [&str; 5] = [
    "qemu-profiles",
    "scenarios",
    "ci",
    "images",
    "target/images",
];

/// How machines start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// As forks; no checkpoint exists when the run begins.
    Making,
    /// As forks of existing checkpoints.
    Forking,
    /// With a cold boot.
    Cold,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Making => "with forks, creating the checkpoints",
            Self::Forking => "with forks",
            Self::Cold => "with cold boots",
        })
    }
}

/// A run.
pub(crate) struct Run {
    /// The duration of the run.
    pub seconds: f64,
    /// The trials by the name of their evidence folder.
    pub trials: BTreeMap<String, One>,
}

/// A trial of a run.
pub(crate) struct One {
    /// The verdict and the failed step.
    pub verdict: String,
    /// The duration from its begin to its last step.
    pub seconds: f64,
}

/// A tree that shares the data of the project and has its own evidence and checkpoints.
pub(crate) struct Tree {
    folder: TempDir,
    artifacts: Artifacts,
}

impl Tree {
    /// Creates the tree, which is removed on drop.
    pub(crate) fn new(project: &Project, artifacts: &Artifacts) -> Result<Self> {
        let bench = project.root().join("target/bench");
        std::fs::create_dir_all(&bench)?;
        let folder = tempfile::Builder::new()
            .prefix("suite-")
            .tempdir_in(bench)?;
        std::fs::create_dir(folder.path().join("target"))?;
        for data in DATA {
            symlink(
                project.root().canonicalize()?.join(data),
                folder.path().join(data),
            )?;
        }
        let artifacts = Artifacts {
            kernel: artifacts.kernel.canonicalize()?,
            initrd: artifacts.initrd.canonicalize()?,
        };
        Ok(Self { folder, artifacts })
    }

    /// Runs the suite with its output on stderr.
    pub(crate) async fn run(&self, how: How, options: &Options) -> Result<Run> {
        let evidence = self.folder.path().join("target/evidence");
        if evidence.exists() {
            std::fs::remove_dir_all(&evidence)?;
        }
        let begin = Instant::now();
        let status = self.command(how, options).status().await?;
        let seconds = begin.elapsed().as_secs_f64();
        let trials = trials(&evidence)?;
        if trials.is_empty() {
            return Err(format!("`harness test` ran no trial ({status})").into());
        }
        Ok(Run { seconds, trials })
    }

    fn command(&self, how: How, options: &Options) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.current_dir(self.folder.path()).kill_on_drop(true);
        command.args(["test", "--keep"]).args(&options.filter);
        if let Some(profile) = &options.profile {
            command.args(["--profile", profile]);
        }
        if let Some(jobs) = options.jobs {
            command.args(["--jobs", &jobs.to_string()]);
        }
        if how == How::Cold {
            command.arg("--cold");
        }
        command
            .env(KERNEL_VARIABLE, &self.artifacts.kernel)
            .env(INITRD_VARIABLE, &self.artifacts.initrd)
            .env_remove(COLD_VARIABLE)
            .stdin(Stdio::null())
            // Keep its output apart from the figures.
            .stdout(std::io::stderr());
        command
    }
}

/// Reads the trials from their evidence folders.
fn trials(evidence: &Path) -> Result<BTreeMap<String, One>> {
    let mut trials = BTreeMap::new();
    for entry in std::fs::read_dir(evidence)?.flatten() {
        let folder = entry.path();
        if !folder.join("trial.json").exists() {
            continue;
        }
        let name = json(&folder.join("trial.json"))?["name"].clone();
        let name = name.as_str().unwrap_or_default().to_owned();
        trials.insert(name, one(&folder)?);
    }
    Ok(trials)
}

fn one(folder: &Path) -> Result<One> {
    let result: PathBuf = folder.join("result.json");
    let verdict = if result.exists() {
        let result = json(&result)?;
        let step = result["step"].as_u64();
        let step = step
            .map(|step| format!(" at step {step}"))
            .unwrap_or_default();
        format!("{}{step}", result["verdict"].as_str().unwrap_or("?"))
    } else {
        "none".to_owned()
    };
    let steps = std::fs::read_to_string(folder.join("steps.jsonl")).unwrap_or_default();
    let events: Vec<Value> = steps
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let at = |event: Option<&Value>| event.and_then(|event| event["timestamp"].as_f64());
    let (first, last) = (at(events.first()), at(events.last()));
    let seconds = last.unwrap_or_default() - first.unwrap_or_default();
    Ok(One { verdict, seconds })
}

fn json(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?)
}
