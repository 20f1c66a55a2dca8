//! The tree whose scenarios are measured, and machines that stand before the first step of one.

use std::sync::Arc;
use std::time::Duration;

use harness::artifacts::{self, Artifacts};
use harness::project::{self, Project};
use host::speed;
use machine::profile::Profile;
use machine::{Login, Machine, RANCHEROS, Ssh};
use runner::provision::CheckpointStore;
use runner::trial::{Settings, Stopped, Trial};
use scenario::{Known, Scenario, Setups};

use crate::common::{Result, ours};

/// The timeout of a command and of a login, on the reference host.
const COMMAND_SECONDS: u64 = 120;

/// A setup that leaves two machines on one network, otherwise as the setup `busybox` leaves one.
const PAIR: &str = "name: pair\nabout: Two machines on one network.\nafter: busybox\n\
    machines: { a: { networks: [lan] }, b: { networks: [lan] } }\nnetworks: { lan: { subnet: 10.9.0.0/24 } }\n\
    steps: [{ on: [a, b], ssh: { run: 'true' } }]\n";

/// The tree, its profile and the OS.
pub(crate) struct Tree {
    project: Project,
    profile: Profile,
    artifacts: Artifacts,
    settings: Settings,
}

impl Tree {
    pub(crate) fn find() -> Result<Self> {
        let project = project::find();
        let artifacts = artifacts::of_environment(&project)?;
        Ok(Self {
            profile: ours::profile(&project)?,
            artifacts,
            settings: Settings {
                evidence: project.evidence_folder(),
                keep: false,
                listeners: events::Listeners::default(),
                seed: None,
                checkpoints: Some(CheckpointStore::new(project.checkpoints_folder())),
                baseline: events::Baseline::default(),
                machine_limit: 0,
            },
            project,
        })
    }

    /// The trial of a scenario of the tree.
    pub(crate) fn trial(&self, name: &str) -> Result<Trial> {
        let (_, scenarios) = self
            .project
            .load()
            .map_err(|_| "`harness check` finds errors")?;
        let found = scenarios.into_iter().find(|one| one.name == name);
        Ok(self.trial_of(found.ok_or_else(|| format!("scenario `{name}` does not exist"))?))
    }

    /// The trial of a scenario that only this benchmark has. It can continue from the setup [`PAIR`].
    pub(crate) fn own_trial(&self, name: &str, text: &str) -> Result<Trial> {
        let folder = tempfile::tempdir()?;
        let setups = folder.path().join("setups");
        std::fs::create_dir(&setups)?;
        for entry in std::fs::read_dir(self.project.scenarios_folder().join("setups"))? {
            let entry = entry?;
            std::fs::copy(entry.path(), setups.join(entry.file_name()))?;
        }
        std::fs::write(setups.join("pair.yaml"), PAIR)?;
        let file = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&file, text)?;
        let known = Known {
            profiles: vec![self.profile.name.clone()],
            setups: Setups::load(&setups).map_err(|errors| yaml::render_all(&errors, false))?,
        };
        let scenario = scenario::load(&file, &known);
        Ok(self.trial_of(scenario.map_err(|errors| yaml::render_all(&errors, false))?))
    }

    fn trial_of(&self, scenario: Scenario) -> Trial {
        Trial {
            profile: self.profile.clone(),
            scenario: Arc::new(scenario),
            project: self.project.clone(),
        }
    }

    /// The machines of a trial before a step, counted from 1.
    pub(crate) async fn start(&self, trial: &Trial, step: usize) -> Result<Stopped> {
        let stopped = Box::pin(trial.stop_before(step, &self.artifacts, &self.settings)).await;
        Ok(stopped.map_err(|failure| failure.text())?)
    }

    /// Runs a trial.
    pub(crate) async fn run(&self, trial: &Trial) -> Result<()> {
        let ended = Box::pin(trial.run(&self.artifacts, &self.settings)).await;
        Ok(ended.map_err(|failure| failure.text())?)
    }
}

/// A machine of a trial; without a name the only one.
pub(crate) fn machine<'a>(stopped: &'a Stopped, name: Option<&str>) -> Result<&'a Arc<Machine>> {
    let found = stopped.machine(name).map(|one| one.machine);
    Ok(found.ok_or("the trial has no such machine")?)
}

/// Logs in to a machine of a trial.
pub(crate) async fn log_in(stopped: &Stopped, name: Option<&str>) -> Result<Ssh> {
    let one = stopped.machine(name);
    let one = one.ok_or("the trial has no such machine")?;
    let login = Login::Key {
        user: RANCHEROS.user.into(),
        private_key: one.keys.private.clone(),
    };
    Ok(one.machine.ssh(&login, limit()).await?)
}

/// Runs a command that must succeed, and returns its output.
pub(crate) async fn run(ssh: &Ssh, command: &str) -> Result<String> {
    let output = ssh.run(command, limit()).await?;
    if output.exit != Some(0) {
        return Err(format!("`{command}` failed: {output:?}").into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Stops machines of a trial.
pub(crate) async fn stop(stopped: Stopped, names: &[Option<&str>]) -> Result<()> {
    for name in names {
        machine(&stopped, *name)?.stop().await;
    }
    Ok(())
}

fn limit() -> Duration {
    speed::seconds(COMMAND_SECONDS)
}
