//! Applies one sabotage, and reports if the scenario did not detect it at the expected step.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::artifacts::Artifacts;
use crate::project::Project;
use crate::suite::{self, PartOptions};
use events::SnapshotOutcome;
use events::{Event, EventKind, Listener};
use libtest_mimic::Arguments;
use machine::profile::{Boot, Profile};
use runner::trial::{FailedVerdict, Failure, InfrastructureError, Settings, Trial};
use scenario::{Change, RedAt, Sabotage, Scenario};

use super::initrd;

/// A scenario, one of its sabotages, and the sabotaged trial.
pub(super) struct Proof {
    /// The scenario without the sabotage.
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

    /// `PROFILE::SCENARIO::sabotage-1 (fails at STEP)`.
    pub(super) fn name(&self) -> String {
        let step = match self.sabotage.red_at {
            RedAt::Step(index) => self.scenario.steps[index].title(),
            RedAt::Ready | RedAt::Change => "ready".into(),
        };
        format!("{} (fails at {step})", self.trial.name())
    }

    /// The sabotaged trial.
    pub(super) fn trial(&self) -> &Trial {
        &self.trial
    }

    /// `PROFILE::SCENARIO::sabotage-1`.
    pub(super) fn trial_name(&self) -> String {
        self.trial.name()
    }

    /// Why a run leaves the proof out, with a hint.
    pub(super) fn ignored(&self, arguments: &Arguments, options: &PartOptions) -> Option<String> {
        let nightly = suite::nightly(&self.scenario, arguments, options);
        nightly.or_else(|| self.unreachable())
    }

    /// Why this host cannot run the proof, with a hint.
    fn unreachable(&self) -> Option<String> {
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
            "the machine boots from a disk with its own initrd and kernel command line; \
             hint: use a sabotage with `run`"
                .into()
        })
    }

    /// Runs the trial. The proof succeeds if the trial fails where the sabotage expects it; its evidence
    /// is then removed.
    ///
    /// # Errors
    /// The trial passed, failed elsewhere, or ended without a verdict.
    pub(super) async fn run(&self, given: &Artifacts, settings: &Settings) -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let artifacts = self.artifacts(given, &folder.path().join("initrd"))?;
        let evidence = Folder::default();
        let listening = Settings {
            listeners: settings.listeners.clone().with(evidence.clone()),
            ..settings.clone()
        };
        let admitted = suite::admit(&self.trial, &artifacts, &listening).await;
        let _admitted = admitted.map_err(InfrastructureError::Preparation)?;
        // Boxed, because the future is too large for the stack of a thread.
        match Box::pin(self.trial.run(&artifacts, &listening)).await {
            Ok(()) => Err(failed(self.undetected(), None)),
            Err(Failure::Failed(verdict)) => match self.sabotage.place(verdict.step) {
                place if place == self.sabotage.red_at => Ok(evidence.remove(settings.keep)?),
                place => Err(failed(self.elsewhere(place, &verdict.text), verdict.step)),
            },
            Err(error) => Err(error),
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

    fn undetected(&self) -> String {
        let trial = self.trial.name();
        format!(
            "the sabotage was not detected: {}\n  --> {}\n\n  expected to fail at {}\n  \
             all steps passed\n\nagain:    cargo harness prove {trial}",
            self.sabotage.change.describe(),
            self.line(),
            self.place(self.sabotage.red_at),
        )
    }

    fn elsewhere(&self, place: RedAt, verdict: &str) -> String {
        format!(
            "the sabotage was detected elsewhere: {}\n  --> {}\n\n  expected to fail at {}\n  \
             failed at {}\n\n{verdict}",
            self.sabotage.change.describe(),
            self.line(),
            self.place(self.sabotage.red_at),
            self.place(place),
        )
    }

    fn line(&self) -> String {
        format!("{}:{}", self.scenario.file.display(), self.sabotage.line)
    }

    /// Describes a place.
    fn place(&self, place: RedAt) -> String {
        match place {
            RedAt::Ready => "ready: the machine did not become ready".into(),
            RedAt::Change => "the sabotage itself, which could not be applied".into(),
            RedAt::Step(index) => {
                let title = self.scenario.steps[index].title();
                format!("step {}: {title}", index + 1)
            }
        }
    }
}

fn failed(text: String, step: Option<usize>) -> Failure {
    let machine = SnapshotOutcome::not_kept("sabotaged trials leave none");
    Failure::Failed(FailedVerdict {
        text,
        step,
        machine,
        failed_on: None,
    })
}

/// A listener that records the evidence folder of a trial.
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
    fn name_includes_the_step_that_must_fail() {
        assert_eq!(
            proof().name(),
            "q35::tea::sabotage-1 (fails at tea is made)"
        );
    }

    #[test]
    fn undetected_sabotage_is_reported() {
        assert_snapshot!(proof().undetected());
    }

    #[test]
    fn sabotage_detected_elsewhere_is_reported_with_the_verdict() {
        let place = proof().sabotage.place(Some(2));
        assert_snapshot!(proof().elsewhere(place, "step 2 of 3 failed"));
    }
}
