//! One sabotage tried, and what is to be said when it was not noticed where it should be.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::artifacts::Artifacts;
use crate::project::Project;
use crate::suite;
use events::SnapshotOutcome;
use events::{Event, EventKind, Listener};
use machine::profile::{Boot, Profile};
use runner::trial::{FailedVerdict, Failure, Settings, Trial};
use scenario::{Change, RedAt, Sabotage, Scenario};

use super::initrd;

/// A scenario, one of its sabotages, and the trial of both.
pub(super) struct Proof {
    /// Without the sabotage.
    scenario: Arc<Scenario>,
    sabotage: Sabotage,
    trial: Trial,
}

impl Proof {
    /// All sabotages of a scenario, on one profile.
    pub(super) fn all(project: &Project, scenario: &Arc<Scenario>, profile: &Profile) -> Vec<Self> {
        let one = |(number, sabotage): (usize, &Sabotage)| Self {
            scenario: Arc::clone(scenario),
            sabotage: sabotage.clone(),
            trial: Trial {
                profile: profile.clone(),
                scenario: Arc::new(sabotage.apply_to(scenario, number)),
                project: project.clone(),
            },
        };
        (1..).zip(&scenario.sabotage).map(one).collect()
    }

    /// `PROFILE::SCENARIO::sabotage-1 (red at STEP)`.
    pub(super) fn name(&self) -> String {
        let step = match self.sabotage.red_at {
            RedAt::Step(index) => self.scenario.steps[index].title(),
            RedAt::Ready | RedAt::Change => "ready".into(),
        };
        format!("{} (red at {step})", self.trial.name())
    }

    /// Why this host cannot try it, and what to do.
    pub(super) fn unreachable(&self) -> Option<String> {
        let profile = &self.trial.profile;
        if let Err(why) = profile.check_host() {
            return Some(format!("{}; {}", why.why, why.hint));
        }
        if let Err(why) = self.trial.registry_within_reach() {
            return Some(why);
        }
        let loaded = matches!(
            self.sabotage.change,
            Change::KernelArgument(_) | Change::File(_) | Change::Service(_)
        );
        (loaded && profile.boot == Boot::Disk).then(|| {
            "it boots from a disk, with an initrd and a command line of its own; \
             sabotage it with `run`"
                .into()
        })
    }

    /// Runs the trial. It is as it should be when the trial is red where the sabotage says; what
    /// that left is removed then.
    ///
    /// # Errors
    /// It was green, or red elsewhere, or there was no verdict.
    pub(super) async fn run(&self, given: &Artifacts, settings: &Settings) -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let artifacts = self.artifacts(given, &folder.path().join("initrd"))?;
        let evidence = Folder::default();
        let listening = Settings {
            listeners: settings.listeners.clone().with(evidence.clone()),
            ..settings.clone()
        };
        let room = suite::room(&self.trial, &artifacts, &listening).await;
        let _room = room.map_err(Failure::Infrastructure)?;
        // On the heap: it is large, and a thread's stack is not.
        match Box::pin(self.trial.run(&artifacts, &listening)).await {
            Ok(()) => Err(red(self.unnoticed(), None)),
            Err(Failure::Failed(verdict)) => match self.sabotage.place(verdict.step) {
                place if place == self.sabotage.red_at => Ok(evidence.remove(settings.keep)?),
                place => Err(red(self.elsewhere(place, &verdict.text), verdict.step)),
            },
            Err(none) => Err(none),
        }
    }

    fn artifacts(&self, given: &Artifacts, to: &std::path::Path) -> std::io::Result<Artifacts> {
        let mut artifacts = given.clone();
        if let Change::File(file) = &self.sabotage.change {
            initrd::with_file(&given.initrd, file, to)?;
            artifacts.initrd = to.to_owned();
        }
        Ok(artifacts)
    }

    fn unnoticed(&self) -> String {
        let trial = self.trial.name();
        format!(
            "{trial}: the sabotage was not noticed: {}\n  --> {}\n\n  it was to be red at {}\n  \
             all steps held\n\nagain:    cargo harness prove {trial}",
            self.sabotage.change.describe(),
            self.line(),
            self.place(self.sabotage.red_at),
        )
    }

    fn elsewhere(&self, came: RedAt, verdict: &str) -> String {
        format!(
            "{}: the sabotage was noticed elsewhere: {}\n  --> {}\n\n  it was to be red at {}\n  \
             it was red at {}\n\n{verdict}",
            self.trial.name(),
            self.sabotage.change.describe(),
            self.line(),
            self.place(self.sabotage.red_at),
            self.place(came),
        )
    }

    fn line(&self) -> String {
        format!("{}:{}", self.scenario.file.display(), self.sabotage.line)
    }

    /// A place in words.
    fn place(&self, place: RedAt) -> String {
        match place {
            RedAt::Ready => "ready: the machine did not become ready".into(),
            RedAt::Change => "the sabotage itself, which could not be done".into(),
            RedAt::Step(index) => {
                let title = self.scenario.steps[index].title();
                format!("step {}: {title}", index + 1)
            }
        }
    }
}

fn red(text: String, step: Option<usize>) -> Failure {
    let why = "it is red on purpose".into();
    let machine = SnapshotOutcome::NotKept { reason: why };
    Failure::Failed(FailedVerdict {
        text,
        step,
        machine,
    })
}

/// Remembers where the evidence of a trial is.
#[derive(Debug, Clone, Default)]
struct Folder(Arc<Mutex<Option<PathBuf>>>);

impl Listener for Folder {
    fn on_event(&self, event: &Event) {
        if let EventKind::TrialBegins { evidence, .. } = &event.kind {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(evidence.clone());
        }
    }
}

impl Folder {
    fn remove(&self, keep: bool) -> std::io::Result<()> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(folder) if !keep => std::fs::remove_dir_all(folder),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const TEA: &str = r"name: tea
about: tea can be made
steps:
  - ssh: { run: fill kettle }
  - name: tea is made
    ssh: { run: make tea, stdout: { equals: tea } }
sabotage:
  - run: rm kettle
    red_at: tea is made
";

    fn proof() -> Proof {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tea.yaml");
        std::fs::write(&file, TEA).unwrap();
        let known = scenario::Known {
            profiles: vec!["q35".into()],
            ..Default::default()
        };
        let mut scenario = scenario::load(&file, &known).unwrap();
        scenario.file = "scenarios/tea.yaml".into();
        let project = crate::project::find();
        let profiles = project.profiles().unwrap();
        let q35 = profiles.iter().find(|one| one.name == "q35").unwrap();
        Proof::all(&project, &Arc::new(scenario), q35).remove(0)
    }

    #[test]
    fn a_proof_is_called_by_where_it_must_be_red() {
        assert_eq!(proof().name(), "q35::tea::sabotage-1 (red at tea is made)");
    }

    #[test]
    fn what_was_not_noticed_is_told() {
        assert_snapshot!(proof().unnoticed());
    }

    #[test]
    fn what_was_noticed_elsewhere_is_told_with_the_verdict() {
        let came = proof().sabotage.place(Some(2));
        assert_snapshot!(proof().elsewhere(came, "q35::tea: step 2 of 3 failed"));
    }
}
