//! `harness prove`: proves that scenarios can fail. Each [sabotage](scenario::Sabotage) is applied and must
//! make its scenario fail at the step that it names.

mod initrd;
mod proof;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial as Test};

use crate::artifacts::{self, Artifacts};
use crate::exit;
use crate::project::Project;
use crate::suite::{self, Options};
use crate::terminal;
use events::Listeners;
use machine::profile::Profile;
use report::Warnings;
use runner::history::{self, History};
use runner::provision::CheckpointStore;
use runner::trial::{Failure, Settings};
use scenario::Scenario;

use proof::Proof;

/// The state that the proofs of one run share.
struct Shared {
    settings: Settings,
    artifacts: OnceLock<Artifacts>,
    /// An error prevented the verdict of a trial.
    infrastructure: AtomicBool,
}

/// Runs one proof for each sabotage of each scenario, prints the results, and returns the exit code.
pub fn run(project: &Project, arguments: &Arguments, options: &Options) -> ExitCode {
    let (profiles, scenarios) = match suite::load(project) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let shared = Arc::new(Shared {
        settings: settings(project, options),
        artifacts: OnceLock::new(),
        infrastructure: AtomicBool::new(false),
    });
    let mut proofs = proofs(project, &profiles, scenarios, options.profile.as_deref());
    if let Some(shard) = options.shard {
        let names: Vec<String> = proofs.iter().map(Proof::name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // The durations of proofs are not recorded, so the name alone selects the shard.
        let part = shard.part(&names, &BTreeMap::new());
        proofs.retain(|one| part.contains(&one.name().as_str()));
    }
    let tests: Vec<_> = proofs.into_iter().map(|one| test(one, &shared)).collect();
    let wanted: Vec<_> = tests
        .iter()
        .filter(|one| !arguments.is_filtered_out(one))
        .collect();
    if wanted.is_empty() && options.shard.is_none() {
        eprintln!("no sabotage matches; available:");
        tests.iter().for_each(|one| eprintln!("  {}", one.name()));
        return exit::USAGE.into();
    }
    if !wanted.is_empty() && wanted.iter().all(|one| arguments.is_ignored(one)) {
        drop(libtest_mimic::run(arguments, tests));
        eprintln!("error: no trial can run on this host; hint: run `harness doctor`");
        return exit::INFRASTRUCTURE.into();
    }
    if arguments.list {
        drop(libtest_mimic::run(arguments, tests));
        return exit::OK.into();
    }
    match artifacts::obtain(project) {
        Ok(artifacts) => drop(shared.artifacts.set(artifacts)),
        Err(error) => {
            eprintln!("error: {error}");
            return exit::INFRASTRUCTURE.into();
        }
    }
    let failed = libtest_mimic::run(arguments, tests).has_failed();
    match (failed, shared.infrastructure.load(Ordering::Relaxed)) {
        (false, _) => exit::OK.into(),
        (true, false) => exit::FAILED.into(),
        (true, true) => exit::INFRASTRUCTURE.into(),
    }
}

fn settings(project: &Project, options: &Options) -> Settings {
    let listeners = Listeners::default();
    let listeners = if options.print_steps {
        listeners.with(terminal::lines())
    } else {
        listeners.with(Warnings::new(terminal::stderr()))
    };
    Settings {
        // An expected failure needs no snapshot.
        machine_limit: 0,
        evidence: project.evidence_folder(),
        seed: None,
        keep: options.keep,
        listeners,
        checkpoints: (!options.cold).then(|| CheckpointStore::new(project.checkpoints_folder())),
        // Recorded durations do not apply to sabotaged trials.
        baseline: history::baseline(&History::new(project.history_file()), std::iter::empty()),
    }
}

/// Each sabotage on the first profile of its scenario, or on the requested profile.
fn proofs(
    project: &Project,
    profiles: &[Profile],
    scenarios: Vec<Scenario>,
    only: Option<&str>,
) -> Vec<Proof> {
    let of = |scenario: Scenario| {
        let mut named = scenario.all_profiles();
        let name = named.find(|name| only.is_none_or(|only| only == *name));
        let profile = profiles.iter().find(|one| Some(&*one.name) == name);
        profile.map_or_else(Vec::new, |profile| {
            Proof::all(project, &Arc::new(scenario.clone()), profile)
        })
    };
    scenarios.into_iter().flat_map(of).collect()
}

/// A proof as a test of libtest-mimic. It is ignored, with the reason, if this host cannot run it.
fn test(proof: Proof, shared: &Arc<Shared>) -> Test {
    let unreachable = proof.unreachable();
    let shared = Arc::clone(shared);
    let test = Test::test(proof.name(), move || one(&proof, &shared));
    match unreachable {
        None => test,
        Some(why) => test.with_ignored_flag(true).with_kind(why),
    }
}

fn one(proof: &Proof, shared: &Shared) -> Result<(), Failed> {
    let error = |text: String| {
        shared.infrastructure.store(true, Ordering::Relaxed);
        Failed::from(format!("error: {text}"))
    };
    let Some(artifacts) = shared.artifacts.get() else {
        return Err(error("no artifacts to boot".into()));
    };
    let runtime = suite::runtime().map_err(|why| error(why.to_string()))?;
    match runtime.block_on(proof.run(artifacts, &shared.settings)) {
        Ok(()) => Ok(()),
        Err(Failure::Failed(failed)) => Err(failed.text.into()),
        Err(failure @ Failure::Infrastructure(_)) => Err(error(failure.text())),
    }
}
