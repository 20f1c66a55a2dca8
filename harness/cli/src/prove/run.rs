//! Runs or lists proofs.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Completion, Failed, Trial as Test};

use crate::artifacts::{self, Artifacts};
use crate::project::Project;
use crate::suite::{self, Plan, Shard};
use crate::{exit, runtime, terminal};
use events::Listeners;
use machine::profile::Profile;
use report::Warnings;
use runner::history::{self, History};
use runner::provision::CheckpointStore;
use runner::trial::{Failure, Settings, Trial};
use scenario::Scenario;

use super::Options;
use super::proof::Proof;

/// How often each sabotage is due, in commits, if there is a budget. All of them take two hours on two cores
/// without KVM, of which a part of five minutes is due.
const TURNS: usize = 24;

/// The state that the proofs of one run share.
struct Shared {
    settings: Settings,
    history: History,
    /// Set before the first proof runs; not set if the proofs are only listed.
    ready: OnceLock<Ready>,
    /// An error prevented the verdict of a trial.
    infrastructure: AtomicBool,
}

/// What the proofs need to run.
struct Ready {
    artifacts: Artifacts,
    /// The order and the budget of the run, if it has one.
    plan: Option<Plan>,
}

/// Runs one proof for each sabotage of each scenario, prints the results, and returns the exit code.
pub fn run(project: &Project, arguments: &Arguments, options: &Options) -> ExitCode {
    let (profiles, scenarios) = match suite::load(project) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let proofs = proofs(project, &profiles, scenarios, options.profile.as_deref());
    let proofs = part(proofs, options.part.shard);
    let shared = Arc::new(Shared {
        settings: settings(project, options),
        history: History::new(project.history_file()),
        ready: OnceLock::new(),
        infrastructure: AtomicBool::new(false),
    });
    let proofs: Vec<_> = proofs.into_iter().map(Arc::new).collect();
    let ignored = |proof: &Proof| proof.ignored(arguments, &options.part);
    let tests = tests(&proofs, &ignored, &shared);
    let wanted = tests.iter().filter(|one| !arguments.is_filtered_out(one));
    let wanted: Vec<_> = wanted.collect();
    if wanted.is_empty() && options.part.shard.is_none() {
        eprintln!("no sabotage matches; available:");
        tests.iter().for_each(|one| eprintln!("  {}", one.name()));
        return exit::USAGE.into();
    }
    if arguments.list || wanted.iter().all(|one| arguments.is_ignored(one)) {
        let reasons: Vec<_> = wanted.iter().map(|one| one.kind().to_owned()).collect();
        drop(libtest_mimic::run(arguments, tests));
        return suite::without_boots(arguments, reasons.iter().map(String::as_str));
    }
    run_proofs(project, arguments, options, proofs, &shared)
}

fn run_proofs(
    project: &Project,
    arguments: &Arguments,
    options: &Options,
    mut proofs: Vec<Arc<Proof>>,
    shared: &Arc<Shared>,
) -> ExitCode {
    let artifacts = match artifacts::obtain(project, &options.trial.given) {
        Ok(artifacts) => artifacts,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::INFRASTRUCTURE.into();
        }
    };
    let plan = plan(project, options, &proofs, &shared.history);
    let ready = shared.ready.get_or_init(|| Ready { artifacts, plan });
    if let Some(plan) = &ready.plan {
        proofs.sort_by_key(|proof| plan.turn(&proof.trial_name()));
        plan.begin();
    }
    let ignored = |proof: &Proof| proof.ignored(arguments, &options.part);
    let conclusion = libtest_mimic::run(arguments, tests(&proofs, &ignored, shared));
    suite::exit_status(&conclusion, ready.plan.as_ref(), &shared.infrastructure)
}

/// The proofs of a shard. The durations of proofs are not recorded, so the name alone selects the shard.
fn part(mut proofs: Vec<Proof>, shard: Option<Shard>) -> Vec<Proof> {
    if let Some(shard) = shard {
        let names: Vec<String> = proofs.iter().map(Proof::name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let part = shard.part(&names, &BTreeMap::new());
        proofs.retain(|one| part.contains(&one.name().as_str()));
    }
    proofs
}

/// The plan of a run with a budget. A proof is expected to take as long as its scenario without the sabotage.
fn plan(
    project: &Project,
    options: &Options,
    proofs: &[Arc<Proof>],
    history: &History,
) -> Option<Plan> {
    let budget = options.part.budget?;
    let here = history.medians();
    let shared = suite::shared_durations(&options.part, &project.durations_file());
    let shared = shared.unwrap_or_default();
    let seconds = |trial: &Trial| {
        let name = trial.name();
        let scenario = name
            .rsplit_once("::")
            .map_or(&*name, |(scenario, _)| scenario);
        // A key of the history ends with the accelerator.
        let of_accelerator = |accelerator| here.get(&format!("{scenario} {accelerator}"));
        let here = of_accelerator("kvm").or_else(|| of_accelerator("tcg"));
        here.or_else(|| shared.get(scenario)).copied()
    };
    let trials = proofs.iter().map(|proof| proof.trial());
    Some(Plan::new(
        budget,
        TURNS,
        project.root(),
        history,
        trials,
        seconds,
    ))
}

fn settings(project: &Project, options: &Options) -> Settings {
    let listeners = Listeners::default();
    let listeners = if options.part.verbose {
        listeners.with(terminal::lines())
    } else {
        listeners.with(Warnings::new(terminal::stderr()))
    };
    Settings {
        // An expected failure needs no snapshot.
        machine_limit: 0,
        evidence: project.evidence_folder(),
        seed: None,
        keep: options.trial.keep,
        listeners,
        checkpoints: (!options.trial.cold)
            .then(|| CheckpointStore::new(project.checkpoints_folder())),
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

fn tests(
    proofs: &[Arc<Proof>],
    ignored: &impl Fn(&Proof) -> Option<String>,
    shared: &Arc<Shared>,
) -> Vec<Test> {
    let test = |proof| test(proof, ignored(proof), shared);
    proofs.iter().map(test).collect()
}

/// A proof as a test of libtest-mimic. It is ignored if there is a reason.
fn test(proof: &Arc<Proof>, ignored: Option<String>, shared: &Arc<Shared>) -> Test {
    let (name, proof, shared) = (proof.name(), Arc::clone(proof), Arc::clone(shared));
    let test = Test::ignorable_test(name, move || one(&proof, &shared));
    match ignored {
        None => test,
        Some(why) => test.with_ignored_flag(true).with_kind(why),
    }
}

fn one(proof: &Proof, shared: &Shared) -> Result<Completion, Failed> {
    let error = |text: String| {
        shared.infrastructure.store(true, Ordering::Relaxed);
        Failed::from(format!("error: {text}"))
    };
    let name = proof.trial_name();
    let Some(ready) = shared.ready.get() else {
        return Err(error("no artifacts to boot".into()));
    };
    let plan = ready.plan.as_ref();
    if let Some(reason) = plan.and_then(|plan| plan.leave_out(&name)) {
        return Ok(Completion::ignored_with(reason));
    }
    let runtime = runtime::new().map_err(|why| error(why.to_string()))?;
    let ended = runtime.block_on(proof.run(&ready.artifacts, &shared.settings));
    let record = |failed| {
        if let Err(error) = shared.history.record_verdict(&name, failed) {
            log::warn!("the verdict of {name} is not in the history: {error}");
        }
    };
    match ended {
        Ok(()) => {
            record(false);
            Ok(Completion::Completed)
        }
        Err(Failure::Failed(failed)) => {
            record(true);
            Err(failed.text.into())
        }
        Err(failure @ Failure::Infrastructure(_)) => Err(error(failure.text())),
    }
}
