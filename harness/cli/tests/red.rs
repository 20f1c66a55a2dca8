//! Tests of the harness itself: scenarios that must fail are seen to fail, at their step, with all
//! that one needs to know.

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
use runner::checkpoint::CheckpointStore;
use runner::trial::{Failure, Settings, Trial};
use scenario::{self, Scenario, Start};
use yaml::render_all;

const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/red");

/// A scenario that must be red.
struct Case {
    scenario: &'static str,
    /// The number of the red step.
    step: Option<usize>,
    /// What the verdict says.
    says: &'static [&'static str],
    /// Its machine is entered, and it is run again.
    is_entered: bool,
}

const CASES: [Case; 8] = [
    Case {
        scenario: "fails-on-purpose",
        step: Some(2),
        says: &[
            "q35::fails-on-purpose: step 2 of 3 failed: the machine is not on the moon",
            "fails-on-purpose.yaml:7",
            "stdout is not equal to what was expected",
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
            "note: power cut (seed 7): no disk to lose anything",
            "rancher login:",
            "evidence: ",
        ],
    },
    Case {
        scenario: "switches-itself-off",
        step: Some(2),
        is_entered: false,
        says: &["the guest switched the machine off", "evidence: "],
    },
    Case {
        scenario: "ignores-the-power-button",
        step: Some(2),
        is_entered: false,
        says: &["waiting for powering off", "last seen: a machine that runs"],
    },
    Case {
        scenario: "kills-nobody",
        step: Some(2),
        is_entered: false,
        says: &["no process is called `kettle`", "dockerd"],
    },
    Case {
        scenario: "answers-all-the-same",
        step: Some(1),
        is_entered: false,
        says: &["the machine answered: SSH-2.0-dropbear"],
    },
];

/// Bytes for the machine that is kept.
const LIMIT: u64 = 1 << 30;

fn main() -> ExitCode {
    let project = project::find();
    let profiles = project.profiles().expect("the profiles are fine");
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
            case.is_red(q35, &scenarios)
        }))
    };
    let mut tests: Vec<_> = CASES.iter().map(test).collect();
    let forks = scenarios.iter().find(|one| one.start == Start::Fork);
    let forks = forks.expect("one of them forks").clone();
    let served = is_served_the_same(&q35, &scenarios);
    tests.push(reachable(Test::test(
        "why_machines_are_not_forked_is_told_once",
        move || {
            unforked::is_told(&q35, &nvme, &forks);
            Ok(())
        },
    )));
    tests.push(reachable(served));
    tests.push(reachable(Test::test(
        "a_trial_is_entered_before_a_step",
        || {
            before::is_entered(&artifacts::obtain(&project::find())?);
            Ok(())
        },
    )));
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// Ignored where this host has no registry to give.
fn is_served_the_same(q35: &Profile, scenarios: &[Scenario]) -> Test {
    let scenario = scenarios.iter().find(|one| one.machine.registry.is_some());
    let scenario = scenario.expect("one of them has a registry").clone();
    let trial = Trial {
        profile: q35.clone(),
        scenario: Arc::new(scenario),
        project: harness::project::find(),
    };
    let missing = trial.registry_within_reach().err();
    let test = Test::test(
        "a_registry_serves_the_same_when_its_trial_is_replayed",
        move || {
            served::is_the_same(&trial);
            Ok(())
        },
    );
    match missing {
        Some(why) => test.with_ignored_flag(true).with_kind(why),
        None => test,
    }
}

/// Where the evidence of a trial is that ended, and what became of its machine.
type End = (PathBuf, SnapshotOutcome);

/// Hears of the end of a trial.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Option<End>>>);

impl Heard {
    fn end(&self) -> Option<End> {
        self.0.lock().ok()?.clone()
    }
}

impl Listener for Heard {
    fn on_event(&self, event: &Event) {
        if let EventKind::TrialEnds {
            evidence: Some(evidence),
            machine: Some(fate),
            ..
        } = &event.kind
            && let Ok(mut end) = self.0.lock()
        {
            *end = Some((evidence.clone(), fate.clone()));
        }
    }
}

impl Case {
    fn is_red(&self, profile: Profile, scenarios: &[Scenario]) -> Result<(), Failed> {
        let project = project::find();
        let artifacts = artifacts::obtain(&project)?;
        let evidence = tempfile::tempdir()?;
        let scenario = scenarios.iter().find(|one| one.name == self.scenario);
        let trial = Trial {
            profile,
            scenario: Arc::new(scenario.ok_or("there is no such scenario")?.clone()),
            project: project.clone(),
        };
        let heard = Heard::default();
        let settings = Settings {
            evidence: evidence.path().into(),
            keep: false,
            seed: None,
            listeners: Listeners::default().with(heard.clone()),
            checkpoints: Some(CheckpointStore::new(project.checkpoints_folder())),
            usual: Baseline::default(),
            machine_limit: LIMIT,
        };
        let runtime = tokio::runtime::Runtime::new()?;
        match runtime.block_on(trial.run(&artifacts, &settings)) {
            Err(Failure::Failed(red)) if red.step == self.step => {
                self.says_all(&red.text, evidence.path())?;
            }
            other => return Err(format!("expected a red verdict, got {other:?}").into()),
        }
        if self.is_entered {
            let (folder, fate) = heard.end().ok_or("nothing was heard of its end")?;
            let SnapshotOutcome::Kept { folder: left, .. } = fate else {
                return Err(format!("the machine is not kept: {fate:?}").into());
            };
            assert!(left.join("machine").is_dir(), "{}", left.display());
            // As on another computer: nothing is where it was any more.
            let elsewhere = tempfile::tempdir()?;
            let moved = elsewhere.path().join("evidence");
            std::fs::rename(evidence.path(), &moved)?;
            let folder = moved.join(folder.file_name().unwrap_or_default());
            runtime.block_on(kept::is_kept(&folder, self.step, &artifacts));
        }
        Ok(())
    }

    /// The verdict names the step, its place, what was expected and what came, and its evidence is
    /// kept.
    fn says_all(&self, text: &str, evidence: &Path) -> Result<(), Failed> {
        if let Some(missing) = self.says.iter().find(|part| !text.contains(*part)) {
            return Err(format!("`{missing}` is not in the verdict:\n{text}").into());
        }
        if text.contains("this is never reached") {
            return Err(format!("a step after the red one ran:\n{text}").into());
        }
        let folders = std::fs::read_dir(evidence)?.map(|entry| entry.map(|entry| entry.path()));
        let folders = folders.collect::<Result<Vec<PathBuf>, _>>()?;
        // Of a machine that is off there is no picture.
        let screen = (self.scenario != "switches-itself-off").then_some("screen.png");
        for file in ["serial.log", "serial.times"].into_iter().chain(screen) {
            if !folders.iter().any(|folder| folder.join(file).is_file()) {
                return Err(format!("there is no {file} in {folders:?}").into());
            }
        }
        Ok(())
    }
}
