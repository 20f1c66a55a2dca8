//! All trials of a tree, run by libtest-mimic: what `cargo test --test boot` and `harness test` do.
//!
//! `matrix` and `shard` say which trials there are, `run` brings one to its end, `retry` judges its
//! attempts. Not here: whether this host has room for one more machine ([`host::admission`]).

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
use runner::checkpoint::CheckpointStore;
use runner::history::{self, History, Recorder};
use runner::trial::{self, Settings, Trial};
use scenario::{self, Scenario};
use yaml::{SourceError, render_all};

pub use options::{
    ALL_PROFILES_VARIABLE, COLD_VARIABLE, DURATIONS_VARIABLE, FLAKY_OK_VARIABLE, KEEP_VARIABLE,
    Options, RETRIES_VARIABLE, SHARD_VARIABLE, VERBOSE_VARIABLE,
};
pub use shard::Shard;

use interrupt::Progress;
use matrix::On;
use run::{Ready, Shared, known_as};
pub(crate) use run::{room, runtime};

/// Runs (or lists) the trials; prints; gives the exit code.
pub fn run(project: &Project, arguments: &Arguments, options: &Options) -> ExitCode {
    terminal::print_logs();
    let (profiles, scenarios) = match load(project) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let all = matrix::all(project, profiles, scenarios, &on(arguments, options));
    if let Some(profile) = options.profile.as_ref().filter(|_| all.is_empty()) {
        eprintln!("no scenario runs on a profile `{profile}`; see `harness list`");
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

/// Reads all profiles and scenarios, and tells what is wrong with them or should be better.
pub(crate) fn load(project: &Project) -> Result<(Vec<Profile>, Vec<Scenario>), ExitCode> {
    let told = |found: &[SourceError]| {
        if !found.is_empty() {
            eprintln!("{}\n", render_all(found, colour(&std::io::stderr())));
        }
    };
    let loaded = project.load().map_err(|errors| {
        told(&errors);
        let errors = count(errors.len());
        eprintln!("nothing was booted: {errors} in scenarios or profiles");
        ExitCode::from(exit::RED)
    })?;
    told(&scenario::warnings(&loaded.1));
    Ok(loaded)
}

/// All trials of a tree, on each profile that they may run on, by name.
///
/// # Errors
/// All that is wrong in its scenarios and profiles.
pub fn trials(project: &Project) -> Result<Vec<Trial>, Vec<SourceError>> {
    let (profiles, scenarios) = project.load()?;
    Ok(matrix::all(project, profiles, scenarios, &On::All))
}

/// Whoever names a trial in full (`PROFILE::SCENARIO`) has named its profile. Not of a shard: what is
/// in one must not depend on a filter, for cargo-nextest asks for a shard's trials and then runs each
/// by its name.
fn on<'a>(arguments: &Arguments, options: &'a Options) -> On<'a> {
    let in_full = options.shard.is_none() && {
        let filter = arguments.filter.as_deref();
        filter.is_some_and(|filter| filter.contains("::"))
    };
    match &options.profile {
        Some(only) => On::One(only),
        None if options.all_profiles || in_full => On::All,
        None => On::Usual,
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
    if let Some(status) = nothing_to_do(arguments, options, &listed) {
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
    longest_first(&mut listed, &ready.settings.usual);
    let conclusion = run_chosen(arguments, listed, chosen, ready);
    verdict(&conclusion, &shared)
}

/// The names of the trials that a run is about.
struct Chosen {
    boots: Vec<String>,
    /// With the reason.
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

/// A filter that nothing matches is a mistake, but for one that other shards may have something for.
fn nothing_to_do(
    arguments: &Arguments,
    options: &Options,
    listed: &[libtest_mimic::Trial],
) -> Option<u8> {
    let filter = arguments.filter.as_ref()?;
    if options.shard.is_some() || listed.iter().any(|one| !arguments.is_filtered_out(one)) {
        return None;
    }
    eprintln!("no trial matches `{filter}`; there are:");
    listed.iter().for_each(|one| eprintln!("  {}", one.name()));
    Some(exit::USAGE)
}

/// After a list, or where nothing could run: a run that can prove nothing is no success.
fn without_boots(arguments: &Arguments, chosen: &Chosen) -> ExitCode {
    if arguments.list || chosen.ignored.is_empty() {
        return exit::OK.into();
    }
    eprintln!("error: no trial can run on this host, so nothing is proven; see `harness doctor`");
    exit::INFRASTRUCTURE.into()
}

/// What a run needs before its first trial.
fn prepare(
    project: &Project,
    options: &Options,
    trials: &[Trial],
    progress: &Progress,
) -> Result<Ready, String> {
    // Before minutes go into a run whose files cannot be written.
    let outputs = options
        .outputs
        .listen(Listeners::default(), &project.history_folder())?;
    let artifacts = artifacts::obtain(project).map_err(|error| error.to_string())?;
    trial::sweep(&project.evidence_folder());
    let history = History::new(project.history_file());
    let known = trials.iter().map(|trial| {
        let known_as = known_as(trial, &artifacts, options);
        (trial.name(), known_as, &*trial.scenario)
    });
    let usual = history::baseline(&history, known);
    let live = match options.live && !options.tell {
        true => terminal::live(usual.clone()),
        false => None,
    };
    let recorder = Recorder::default();
    let mut listeners = outputs
        .with(recorder.clone())
        .with(progress.clone())
        .with(Boots::new(&project.history_folder()));
    if options.tell {
        listeners = listeners.with(terminal::lines());
    }
    match &live {
        Some(live) => listeners = listeners.with(live.clone()),
        None if !options.tell => listeners = listeners.with(Warnings::new(terminal::stderr())),
        None => {}
    }
    progress.tells(listeners.clone(), live.is_some());
    Ok(Ready {
        settings: Settings {
            evidence: project.evidence_folder(),
            keep: options.keep,
            seed: options.seed,
            listeners,
            checkpoints: (!options.cold)
                .then(|| CheckpointStore::new(project.checkpoints_folder())),
            usual,
            machine_limit: trial::limit(options.machine_limit),
        },
        artifacts,
        history,
        recorder,
        live,
    })
}

/// So that no long one is begun when the others are done; what is not known may be long.
fn longest_first(listed: &mut [libtest_mimic::Trial], usual: &Baseline) {
    let took = |one: &libtest_mimic::Trial| usual.trial(one.name()).unwrap_or(f64::MAX);
    listed.sort_by(|one, other| took(other).total_cmp(&took(one)));
}

fn run_chosen(
    arguments: &Arguments,
    listed: Vec<libtest_mimic::Trial>,
    chosen: Chosen,
    ready: &Ready,
) -> Conclusion {
    let mut arguments = arguments.clone();
    if ready.live.is_some() {
        // What it would print is shown in another way.
        arguments.logfile = Some("/dev/null".into());
    }
    let listeners = &ready.settings.listeners;
    listeners.emit(EventKind::RunBegins {
        trials: chosen.boots,
        ignored: chosen.ignored,
    });
    let begin = Instant::now();
    let conclusion = libtest_mimic::run(&arguments, listed);
    let took = begin.elapsed().as_secs_f64();
    listeners.emit(EventKind::RunEnds { duration: took });
    conclusion
}

fn verdict(conclusion: &Conclusion, shared: &Shared) -> ExitCode {
    match (
        conclusion.has_failed(),
        shared.infrastructure.load(Ordering::Relaxed),
    ) {
        (false, _) => exit::OK.into(),
        (true, false) => exit::RED.into(),
        (true, true) => exit::INFRASTRUCTURE.into(),
    }
}

/// A trial as libtest-mimic knows it; ignored, with the reason, where this host cannot run it.
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
    fn the_longest_come_first_and_before_them_what_nobody_knows() {
        let names = ["q35::new", "q35::short", "q35::long"];
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history.json"));
        for (name, took) in [("q35::short", 1.0), ("q35::long", 9.0)] {
            history.add(name, took, &Default::default()).unwrap();
        }
        let scenarios = crate::project::find().load().unwrap().1;
        let trials = names.map(|name| (name.to_owned(), name.to_owned(), &scenarios[0]));
        let usual = history::baseline(&history, trials.into_iter());
        let listed = |name| libtest_mimic::Trial::test(name, || Ok(()));
        let mut trials: Vec<_> = ["q35::short", "q35::long", "q35::new"].map(listed).into();
        longest_first(&mut trials, &usual);
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
            On::Usual => "usual",
            On::All => "all",
            On::One(_) => "one",
        }
    }

    #[test]
    fn a_filter_never_changes_what_is_in_a_shard() {
        assert_eq!(on_of("tea", None), "usual");
        assert_eq!(on_of("q35-scsi::tea", None), "all");
        assert_eq!(on_of("q35::tea", Some("2/5")), on_of("tea", Some("2/5")));
    }
}
