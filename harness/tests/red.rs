//! A test of the harness itself: a scenario that must fail is seen to fail, at its step, with all
//! that one needs to know.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial as Test};

use harness::artifacts::Artifacts;
use harness::event::Listeners;
use harness::profile::Profile;
use harness::project::Project;
use harness::scenario::{self, Known};
use harness::trial::{Failure, Settings, Trial};

const SCENARIO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/red/fails-on-purpose.yaml"
);

fn main() -> ExitCode {
    let profiles = Project::find().profiles().expect("the profiles are fine");
    let q35 = profiles
        .into_iter()
        .find(|profile| profile.name == "q35")
        .expect("q35 is there");
    let unreachable = q35.check_host().err();
    let test = Test::test("a_scenario_that_must_fail_is_red", move || red(q35));
    let test = match unreachable {
        Some(why) => test.with_ignored_flag(true).with_kind(why.why),
        None => test,
    };
    libtest_mimic::run(&Arguments::from_args(), vec![test]).exit_code()
}

fn red(profile: Profile) -> Result<(), Failed> {
    let artifacts = Artifacts::obtain(&Project::find())?;
    let evidence = tempfile::tempdir()?;
    let known = Known {
        profiles: vec!["q35".into()],
        ..Known::default()
    };
    let scenario = scenario::load(Path::new(SCENARIO), &known).expect("it is well written");
    let trial = Trial {
        profile,
        scenario: Arc::new(scenario),
    };
    let settings = Settings {
        evidence: evidence.path().into(),
        keep: false,
        listeners: Listeners::default(),
        checkpoints: None,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    match runtime.block_on(trial.run(&artifacts, &settings)) {
        Err(Failure::Red(red)) if red.step == Some(2) => says_all(&red.text, evidence.path()),
        other => Err(format!("expected a red verdict, got {other:?}").into()),
    }
}

/// The verdict names the step, its place, what was expected and what came, and its evidence is kept.
fn says_all(text: &str, evidence: &Path) -> Result<(), Failed> {
    let wanted = [
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
    ];
    if let Some(missing) = wanted.iter().find(|part| !text.contains(*part)) {
        return Err(format!("`{missing}` is not in the verdict:\n{text}").into());
    }
    if text.contains("this is never reached") {
        return Err(format!("a step after the red one ran:\n{text}").into());
    }
    let folder = std::fs::read_dir(evidence)?
        .next()
        .ok_or("there is no evidence")??
        .path();
    match folder.join("serial.log").is_file() {
        true => Ok(()),
        false => Err(format!("there is no serial.log in {}", folder.display()).into()),
    }
}
