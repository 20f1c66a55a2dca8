//! Runs all trials of a tree with libtest-mimic, for `cargo test --test boot` and `harness test`.
//!
//! `matrix` and `shard` select the trials, `run` runs one trial, and `retry` judges its
//! attempts. [`host::admission`] decides whether this host has the resources for another machine.

mod budget;
mod interrupt;
mod matrix;
mod options;
mod retry;
mod run;
mod shard;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use libtest_mimic::{Arguments, Conclusion};

use crate::artifacts;
use crate::exit;
use crate::project::Project;
use crate::terminal::{self, colour};
use events::Baseline;
use events::{EventKind, Listeners};
use host::admission::Host;
use machine::profile::Profile;
use report::{Boots, Warnings};
use runner::evidence;
use runner::history::{self, History, Recorder};
use runner::provision::CheckpointStore;
use runner::trial::{Settings, Trial};
use scenario::{self, Scenario};
use yaml::{SourceError, render_all};

pub use budget::Budget;
pub use options::{
    ALL_PROFILES_VARIABLE, BUDGET_VARIABLE, COLD_VARIABLE, DURATIONS_VARIABLE, FLAKY_OK_VARIABLE,
    KEEP_VARIABLE, Options, RETRIES_VARIABLE, SHARD_VARIABLE, VERBOSE_VARIABLE,
};
pub use shard::Shard;

use budget::{Plan, Rotation};
use interrupt::Progress;
use matrix::On;
use run::{Ready, Shared, history_key};
pub(crate) use run::{admit, runtime};

/// Runs or lists the trials, prints the results, and returns the exit code.
pub fn run(project: &Project, arguments: &Arguments, options: &Options) -> ExitCode {
    terminal::print_logs();
    let (profiles, scenarios) = match load(project) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let all = matrix::all(project, profiles, scenarios, &on(arguments, options));
    if let Some(profile) = options.profile.as_ref().filter(|_| all.is_empty()) {
        eprintln!("no scenario runs on a profile `{profile}`; hint: run `harness list`");
        return exit::USAGE.into();
    }
    match matrix::part(all, options, &project.durations_file()) {
        Ok(trials) => run_trials(project, arguments, options, &trials),
        Err(why) => {
            eprintln!("error: {why}");
            exit::USAGE.into()
        }
    }
}

/// Reads all profiles and scenarios, and prints their errors and warnings.
pub(crate) fn load(project: &Project) -> Result<(Vec<Profile>, Vec<Scenario>), ExitCode> {
    let print_found = |found: &[SourceError]| {
        if !found.is_empty() {
            eprintln!("{}\n", render_all(found, colour(&std::io::stderr())));
        }
    };
    let loaded = project.load().map_err(|errors| {
        print_found(&errors);
        let errors = count(errors.len());
        eprintln!("{errors} in scenarios or profiles; nothing was booted");
        ExitCode::from(exit::FAILED)
    })?;
    print_found(&scenario::warnings(&loaded.1));
    Ok(loaded)
}

/// All trials of a tree on all profiles that they may run on, sorted by name.
///
/// # Errors
/// All errors in its scenarios and profiles.
pub fn trials(project: &Project) -> Result<Vec<Trial>, Vec<SourceError>> {
    let (profiles, scenarios) = project.load()?;
    Ok(matrix::all(project, profiles, scenarios, &On::All))
}

/// Selects the profiles. A filter with a full name (`PROFILE::SCENARIO`) selects all profiles. It does not
/// in a shard: the content of a shard must not depend on a filter, because cargo-nextest lists the trials
/// of a shard and then runs each by its name.
fn on<'a>(arguments: &Arguments, options: &'a Options) -> On<'a> {
    let in_full = options.shard.is_none() && {
        let filter = arguments.filter.as_deref();
        filter.is_some_and(|filter| filter.contains("::"))
    };
    match &options.profile {
        Some(only) => On::One(only),
        None if options.all_profiles || in_full => On::All,
        None => On::Default,
    }
}

fn count(errors: usize) -> String {
    if errors == 1 {
        "1 error".into()
    } else {
        format!("{errors} errors")
    }
}

fn run_trials(
    project: &Project,
    arguments: &Arguments,
    options: &Options,
    trials: &[Trial],
) -> ExitCode {
    let shared = Arc::new(Shared {
        options: options.clone(),
        ready: OnceLock::new(),
        infrastructure: AtomicBool::new(false),
    });
    let host = Host::here();
    let listed = |trial: &Trial| listed(trial, host, &shared);
    let mut listed: Vec<_> = trials.iter().map(listed).collect();
    if let Some(status) = check_filter(arguments, options, &listed) {
        return status.into();
    }
    let chosen = Chosen::of(arguments, &listed);
    if arguments.list || chosen.boots.is_empty() {
        drop(libtest_mimic::run(arguments, listed));
        return without_boots(arguments, &chosen);
    }
    let progress = Progress::watch();
    let ready = match prepare(project, options, trials, &progress) {
        Ok(ready) => shared.ready.get_or_init(|| ready),
        Err(why) => {
            eprintln!("error: {why}");
            return exit::INFRASTRUCTURE.into();
        }
    };
    longest_first(&mut listed, &ready.settings.baseline);
    if let Some(plan) = &ready.plan {
        // Stable: within one turn the longest stays first.
        listed.sort_by_key(|one| plan.turn(one.name()));
        plan.begin();
    }
    let conclusion = run_chosen(arguments, listed, chosen, ready);
    if let Some(report) = ready.plan.as_ref().and_then(Plan::left_out) {
        eprintln!("{report}");
        // A run that started nothing shows nothing.
        if conclusion.num_passed + conclusion.num_failed == 0 {
            return exit::INFRASTRUCTURE.into();
        }
    }
    verdict(&conclusion, &shared)
}

/// The names of the trials of a run.
struct Chosen {
    boots: Vec<String>,
    /// The ignored trials, each with the reason.
    ignored: Vec<(String, String)>,
}

impl Chosen {
    fn of(arguments: &Arguments, listed: &[libtest_mimic::Trial]) -> Self {
        let wanted = listed.iter().filter(|one| !arguments.is_filtered_out(one));
        let (ignored, boots): (Vec<_>, Vec<_>) = wanted.partition(|one| arguments.is_ignored(one));
        let reason = |one: &libtest_mimic::Trial| (one.name().to_owned(), one.kind().to_owned());
        Self {
            boots: boots.iter().map(|one| one.name().to_owned()).collect(),
            ignored: ignored.into_iter().map(reason).collect(),
        }
    }
}

/// Reports a filter that matches no trial. With shards it is no error, because other shards may have a match.
fn check_filter(
    arguments: &Arguments,
    options: &Options,
    listed: &[libtest_mimic::Trial],
) -> Option<u8> {
    let filter = arguments.filter.as_ref()?;
    if options.shard.is_some() || listed.iter().any(|one| !arguments.is_filtered_out(one)) {
        return None;
    }
    eprintln!("no trial matches `{filter}`; available:");
    listed.iter().for_each(|one| eprintln!("  {}", one.name()));
    Some(exit::USAGE)
}

/// The exit code after a list, or if no trial can run. A run in which all trials are ignored is an error.
fn without_boots(arguments: &Arguments, chosen: &Chosen) -> ExitCode {
    if arguments.list || chosen.ignored.is_empty() {
        return exit::OK.into();
    }
    eprintln!("error: no trial can run on this host; hint: run `harness doctor`");
    exit::INFRASTRUCTURE.into()
}

/// Prepares a run before its first trial.
fn prepare(
    project: &Project,
    options: &Options,
    trials: &[Trial],
    progress: &Progress,
) -> Result<Ready, String> {
    // Fail before a long run if the output files cannot be written.
    let outputs = options
        .outputs
        .listen(Listeners::default(), &project.history_folder())?;
    let artifacts = artifacts::obtain(project).map_err(|error| error.to_string())?;
    evidence::sweep(&project.evidence_folder());
    let history = History::new(project.history_file());
    let known = trials.iter().map(|trial| {
        let key = history_key(trial, &artifacts, options);
        (trial.name(), key, &*trial.scenario)
    });
    let baseline = history::baseline(&history, known);
    let plan = options.budget.map(|budget| {
        let rotation = Rotation::of(project.root(), history.failed());
        let durations = matrix::shared_durations(options, &project.durations_file());
        let durations = durations.unwrap_or_default();
        Plan::new(budget, &rotation, trials, |name| {
            baseline
                .trial(name)
                .or_else(|| durations.get(name).copied())
        })
    });
    let live = if options.live && !options.print_steps {
        terminal::live(baseline.clone())
    } else {
        None
    };
    let recorder = Recorder::default();
    let mut listeners = outputs
        .with(recorder.clone())
        .with(progress.clone())
        .with(Boots::new(&project.history_folder()));
    if options.print_steps {
        listeners = listeners.with(terminal::lines());
    }
    match &live {
        Some(live) => listeners = listeners.with(live.clone()),
        None if !options.print_steps => {
            listeners = listeners.with(Warnings::new(terminal::stderr()))
        }
        None => {}
    }
    progress.notify(listeners.clone(), live.is_some());
    Ok(Ready {
        settings: Settings {
            evidence: project.evidence_folder(),
            keep: options.keep,
            seed: options.seed,
            listeners,
            checkpoints: (!options.cold)
                .then(|| CheckpointStore::new(project.checkpoints_folder())),
            baseline,
            machine_limit: evidence::limit(options.machine_limit),
        },
        artifacts,
        history,
        recorder,
        live,
        plan,
    })
}

/// Sorts the trials by duration, longest first, so that no long trial starts last. Unknown durations count as
/// long.
fn longest_first(listed: &mut [libtest_mimic::Trial], baseline: &Baseline) {
    let duration = |one: &libtest_mimic::Trial| baseline.trial(one.name()).unwrap_or(f64::MAX);
    listed.sort_by(|one, other| duration(other).total_cmp(&duration(one)));
}

fn run_chosen(
    arguments: &Arguments,
    listed: Vec<libtest_mimic::Trial>,
    chosen: Chosen,
    ready: &Ready,
) -> Conclusion {
    let mut arguments = arguments.clone();
    if ready.live.is_some() {
        // The progress display replaces the output of libtest-mimic.
        arguments.logfile = Some("/dev/null".into());
    }
    let listeners = &ready.settings.listeners;
    listeners.emit(EventKind::RunBegins {
        trials: chosen.boots,
        ignored: chosen.ignored,
    });
    let begin = Instant::now();
    let conclusion = libtest_mimic::run(&arguments, listed);
    let duration = begin.elapsed().as_secs_f64();
    listeners.emit(EventKind::RunEnds { duration });
    conclusion
}

fn verdict(conclusion: &Conclusion, shared: &Shared) -> ExitCode {
    match (
        conclusion.has_failed(),
        shared.infrastructure.load(Ordering::Relaxed),
    ) {
        (false, _) => exit::OK.into(),
        (true, false) => exit::FAILED.into(),
        (true, true) => exit::INFRASTRUCTURE.into(),
    }
}

/// A trial as a test of libtest-mimic. It is ignored, with the reason, if this host cannot run it.
fn listed(trial: &Trial, host: Option<Host>, shared: &Arc<Shared>) -> libtest_mimic::Trial {
    let unreachable = matrix::unreachable(trial, host);
    let (one, shared) = (trial.clone(), Arc::clone(shared));
    let run = move || shared.one(&one);
    let listed = libtest_mimic::Trial::ignorable_test(trial.name(), run);
    match unreachable {
        None => listed,
        Some(why) => listed.with_ignored_flag(true).with_kind(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_first_puts_unknown_durations_first() {
        let names = ["q35::new", "q35::short", "q35::long"];
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history.json"));
        for (name, duration) in [("q35::short", 1.0), ("q35::long", 9.0)] {
            history.add(name, duration, &Default::default()).unwrap();
        }
        let scenarios = crate::project::find().load().unwrap().1;
        let trials = names.map(|name| (name.to_owned(), name.to_owned(), &scenarios[0]));
        let baseline = history::baseline(&history, trials.into_iter());
        let listed = |name| libtest_mimic::Trial::test(name, || Ok(()));
        let mut trials: Vec<_> = ["q35::short", "q35::long", "q35::new"].map(listed).into();
        longest_first(&mut trials, &baseline);
        let order: Vec<_> = trials.iter().map(libtest_mimic::Trial::name).collect();
        assert_eq!(order, ["q35::new", "q35::long", "q35::short"]);
    }

    fn on_of(filter: &str, shard: Option<&str>) -> &'static str {
        let arguments = Arguments {
            filter: Some(filter.into()),
            ..Arguments::default()
        };
        let options = Options {
            shard: shard.map(|shard| shard.parse().unwrap()),
            ..Options::default()
        };
        match on(&arguments, &options) {
            On::Default => "default",
            On::All => "all",
            On::One(_) => "one",
        }
    }

    #[test]
    fn filter_does_not_change_the_content_of_a_shard() {
        assert_eq!(on_of("tea", None), "default");
        assert_eq!(on_of("q35-scsi::tea", None), "all");
        assert_eq!(on_of("q35::tea", Some("2/5")), on_of("tea", Some("2/5")));
    }
}
