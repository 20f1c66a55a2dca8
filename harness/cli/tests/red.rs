//! Tests of the harness itself: scenarios that must fail do fail, at the expected step, with a complete
//! report.

#[path = "red/before.rs"]
mod before;
#[path = "red/kept.rs"]
mod kept;
#[path = "red/served.rs"]
mod served;
#[path = "red/tree.rs"]
mod tree;
#[path = "red/unforked.rs"]
mod unforked;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial as Test};

use events::Baseline;
use events::SnapshotOutcome;
use events::{Event, EventKind, Listener, Listeners};
use harness::artifacts;
use harness::project;
use machine::profile::Profile;
use runner::provision::CheckpointStore;
use runner::trial::{Failure, Settings, Trial};
use scenario::{self, Scenario, Start};
use yaml::render_all;

const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/red");

/// A scenario that must fail.
struct Case {
    scenario: &'static str,
    /// The number of the failed step.
    step: Option<usize>,
    /// Texts that the report must contain.
    says: &'static [&'static str],
    /// Whether the test also restores the machine and replays the trial.
    is_entered: bool,
}

const CASES: [Case; 8] = [
    Case {
        scenario: "fails-on-purpose",
        step: Some(2),
        says: &[
            "step 2 of 3 failed: the machine is not on the moon",
            "fails-on-purpose.yaml:7",
            "stdout differs from the expected text",
            "| -moon",
            "| +earth",
            "stderr: far from it",
            "ok ",
            "started",
            "rancher login:",
            "evidence: ",
            "enter:    cargo harness enter ",
            "again:    cargo harness replay ",
        ],
        is_entered: true,
    },
    Case {
        scenario: "goes-on-from-what-fails",
        step: None,
        says: &[
            "step 1 of 1 of the setup fails failed: the kettle boils",
            "setups/fails.yaml:5",
            "| +cold",
            "evidence: ",
            "enter:    cargo harness enter ",
            "-setup-fails-",
        ],
        is_entered: true,
    },
    Case {
        scenario: "breaks-an-invariant",
        step: Some(2),
        says: &[
            "step 2 of 3 failed: tea is spilt, and nobody looks",
            "an invariant does not hold: nobody spills tea",
            "evidence: ",
        ],
        is_entered: false,
    },
    Case {
        scenario: "loses-its-power",
        step: Some(3),
        is_entered: false,
        says: &[
            "step 3 of 3 failed: what lived in memory is still there",
            "note: power cut (seed 7): no disks",
            "rancher login:",
            "evidence: ",
        ],
    },
    Case {
        scenario: "switches-itself-off",
        step: Some(2),
        is_entered: false,
        says: &["the guest powered off unexpectedly", "evidence: "],
    },
    Case {
        scenario: "ignores-the-power-button",
        step: Some(2),
        is_entered: false,
        says: &[
            "waiting for powering off",
            "last seen: the machine is running",
        ],
    },
    Case {
        scenario: "kills-nobody",
        step: Some(2),
        is_entered: false,
        says: &["no process is named `kettle`", "dockerd"],
    },
    Case {
        scenario: "answers-all-the-same",
        step: Some(1),
        is_entered: false,
        says: &["the machine answered: SSH-2.0-dropbear"],
    },
];

/// The size limit of the failure snapshot in bytes.
const LIMIT: u64 = 1 << 30;

fn main() -> ExitCode {
    let project = project::find();
    let profiles = project.profiles().expect("the profiles are valid");
    let profile = |name: &str| {
        let found = profiles.iter().find(|profile| profile.name == name);
        found.expect("this tree has it").clone()
    };
    let (q35, nvme) = (profile("q35"), profile("q35-nvme"));
    let unreachable = q35.check_host().err();
    let scenarios = scenario::load_all(Path::new(SCENARIOS), vec!["q35".into()]);
    let scenarios = scenarios.unwrap_or_else(|errors| panic!("{}", render_all(&errors, false)));
    let reachable = |test: Test| match &unreachable {
        Some(why) => test.with_ignored_flag(true).with_kind(&why.why),
        None => test,
    };
    let test = |case: &'static Case| {
        let (q35, scenarios) = (q35.clone(), scenarios.clone());
        reachable(Test::test(case.scenario, move || {
            case.fails(q35, &scenarios)
        }))
    };
    let mut tests: Vec<_> = CASES.iter().map(test).collect();
    let forks = scenarios.iter().find(|one| one.start == Start::Fork);
    let forks = forks.expect("one of them forks").clone();
    let served = registry_test(&q35, &scenarios);
    tests.push(reachable(Test::test(
        "fork_fallback_is_reported_once_per_reason",
        move || {
            unforked::check(&q35, &nvme, &forks);
            Ok(())
        },
    )));
    tests.push(reachable(served));
    tests.push(reachable(Test::test(
        "enter_stops_a_trial_before_a_step",
        || {
            before::check(&artifacts::of_environment(&project::find())?);
            Ok(())
        },
    )));
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// Ignored if this host cannot run a registry.
fn registry_test(q35: &Profile, scenarios: &[Scenario]) -> Test {
    let scenario = scenarios.iter().find(|one| one.machine.registry.is_some());
    let scenario = scenario.expect("one of them has a registry").clone();
    let trial = Trial {
        profile: q35.clone(),
        scenario: Arc::new(scenario),
        project: harness::project::find(),
    };
    let missing = trial.registry_within_reach().err();
    let test = Test::test("replay_requires_the_recorded_registry_images", move || {
        served::check(&trial);
        Ok(())
    });
    match missing {
        Some(why) => test.with_ignored_flag(true).with_kind(why),
        None => test,
    }
}

/// The evidence folder of a finished trial, and its failure snapshot.
type End = (PathBuf, SnapshotOutcome);

/// A listener that records the end of a trial.
#[derive(Clone, Default)]
struct EndRecorder(Arc<Mutex<Option<End>>>);

impl EndRecorder {
    fn end(&self) -> Option<End> {
        self.0.lock().ok()?.clone()
    }
}

impl Listener for EndRecorder {
    fn on_event(&self, event: &Event) {
        if let EventKind::TrialEnds {
            evidence: Some(evidence),
            machine: Some(snapshot),
            ..
        } = &event.kind
            && let Ok(mut end) = self.0.lock()
        {
            *end = Some((evidence.clone(), snapshot.clone()));
        }
    }
}

impl Case {
    fn fails(&self, profile: Profile, scenarios: &[Scenario]) -> Result<(), Failed> {
        let project = project::find();
        let artifacts = artifacts::of_environment(&project)?;
        let evidence = tempfile::tempdir()?;
        let scenario = scenarios.iter().find(|one| one.name == self.scenario);
        let trial = Trial {
            profile,
            scenario: Arc::new(scenario.ok_or("there is no such scenario")?.clone()),
            project: project.clone(),
        };
        let recorder = EndRecorder::default();
        let settings = Settings {
            evidence: evidence.path().into(),
            keep: false,
            seed: None,
            listeners: Listeners::default().with(recorder.clone()),
            checkpoints: Some(CheckpointStore::new(project.checkpoints_folder())),
            baseline: Baseline::default(),
            machine_limit: LIMIT,
        };
        let runtime = harness::runtime::new()?;
        match runtime.block_on(trial.run(&artifacts, &settings)) {
            Err(Failure::Failed(failed)) if failed.step == self.step => {
                self.check_report(&failed.text, evidence.path())?;
            }
            other => return Err(format!("expected a failed verdict, got {other:?}").into()),
        }
        if self.is_entered {
            let (folder, snapshot) = recorder.end().ok_or("the trial emitted no end")?;
            let SnapshotOutcome::Kept { folder: saved, .. } = snapshot else {
                return Err(format!("no failure snapshot: {snapshot:?}").into());
            };
            assert!(saved.join("machine").is_dir(), "{}", saved.display());
            // Move the evidence, as to another computer.
            let elsewhere = tempfile::tempdir()?;
            let moved = elsewhere.path().join("evidence");
            std::fs::rename(evidence.path(), &moved)?;
            let folder = moved.join(folder.file_name().unwrap_or_default());
            runtime.block_on(kept::check(&folder, self.step, &artifacts));
        }
        Ok(())
    }

    /// Checks that the report has all expected texts, and that the evidence is complete.
    fn check_report(&self, text: &str, evidence: &Path) -> Result<(), Failed> {
        if let Some(missing) = self.says.iter().find(|part| !text.contains(*part)) {
            return Err(format!("`{missing}` is not in the report:\n{text}").into());
        }
        if text.contains("this is never reached") {
            return Err(format!("a step after the failed one ran:\n{text}").into());
        }
        let folders = std::fs::read_dir(evidence)?.map(|entry| entry.map(|entry| entry.path()));
        let folders = folders.collect::<Result<Vec<PathBuf>, _>>()?;
        // A machine that is off has no screenshot.
        let screen = (self.scenario != "switches-itself-off").then_some("screen.png");
        for file in ["serial.log", "serial.times"].into_iter().chain(screen) {
            if !folders.iter().any(|folder| folder.join(file).is_file()) {
                return Err(format!("{file} is missing in {folders:?}").into());
            }
        }
        Ok(())
    }
}
