//! Runs or lists trials.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use libtest_mimic::{Arguments, Conclusion};

use crate::exit;
use crate::project::Project;
use crate::terminal;
use events::{Baseline, EventKind};
use host::admission::Host;
use runner::trial::Trial;

use super::Options;
use super::budget::Plan;
use super::interrupt::Progress;
use super::load::load;
use super::matrix::{self, On};
use super::prepare::prepare;
use super::trial::{Ready, Shared};

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
    match matrix::part(all, &options.part, &project.durations_file()) {
        Ok(trials) => run_trials(project, arguments, options, &trials),
        Err(why) => {
            eprintln!("error: {why}");
            exit::USAGE.into()
        }
    }
}

/// Selects the profiles. A filter with a full name (`PROFILE::SCENARIO`) selects all profiles. It does not
/// in a shard: the content of a shard must not depend on a filter, because cargo-nextest lists the trials
/// of a shard and then runs each by its name.
fn on<'a>(arguments: &Arguments, options: &'a Options) -> On<'a> {
    let in_full = options.part.shard.is_none() && {
        let filter = arguments.filter.as_deref();
        filter.is_some_and(|filter| filter.contains("::"))
    };
    match &options.profile {
        Some(only) => On::One(only),
        None if options.all_profiles || in_full => On::All,
        None => On::Default,
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
    let listed = |trial: &Trial| {
        let left_out = matrix::nightly(&trial.scenario, arguments, &options.part);
        listed(
            trial,
            left_out.or_else(|| matrix::unreachable(trial, host)),
            &shared,
        )
    };
    let mut listed: Vec<_> = trials.iter().map(listed).collect();
    if let Some(status) = check_filter(arguments, options, &listed) {
        return status.into();
    }
    let chosen = Chosen::of(arguments, &listed);
    if arguments.list || chosen.boots.is_empty() {
        drop(libtest_mimic::run(arguments, listed));
        let reasons = chosen.ignored.iter().map(|(_, reason)| reason.as_str());
        return without_boots(arguments, reasons);
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
    exit_status(&conclusion, ready.plan.as_ref(), &shared.infrastructure)
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
    if options.part.shard.is_some() || listed.iter().any(|one| !arguments.is_filtered_out(one)) {
        return None;
    }
    eprintln!("no trial matches `{filter}`; available:");
    listed.iter().for_each(|one| eprintln!("  {}", one.name()));
    Some(exit::USAGE)
}

/// The exit code after a list, or if all trials are ignored, which is an error. `reasons` are those of the
/// ignored trials.
pub(crate) fn without_boots<'a>(
    arguments: &Arguments,
    mut reasons: impl Iterator<Item = &'a str>,
) -> ExitCode {
    if arguments.list {
        return exit::OK.into();
    }
    let Some(reason) = reasons.next() else {
        return exit::OK.into();
    };
    eprintln!("error: all trials are ignored, the first because: {reason}");
    exit::INFRASTRUCTURE.into()
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

/// Prints what the plan of a run left out, and returns the exit code; `infrastructure` is whether an error
/// prevented a verdict.
pub(crate) fn exit_status(
    conclusion: &Conclusion,
    plan: Option<&Plan>,
    infrastructure: &AtomicBool,
) -> ExitCode {
    if let Some(report) = plan.and_then(Plan::left_out) {
        eprintln!("{report}");
        // A run that started nothing shows nothing.
        if conclusion.num_passed + conclusion.num_failed == 0 {
            return exit::INFRASTRUCTURE.into();
        }
    }
    match (
        conclusion.has_failed(),
        infrastructure.load(Ordering::Relaxed),
    ) {
        (false, _) => exit::OK.into(),
        (true, false) => exit::FAILED.into(),
        (true, true) => exit::INFRASTRUCTURE.into(),
    }
}

/// A trial as a test of libtest-mimic. It is ignored if there is a reason.
fn listed(trial: &Trial, ignored: Option<String>, shared: &Arc<Shared>) -> libtest_mimic::Trial {
    let (one, shared) = (trial.clone(), Arc::clone(shared));
    let run = move || shared.one(&one);
    let listed = libtest_mimic::Trial::ignorable_test(trial.name(), run);
    match ignored {
        None => listed,
        Some(why) => listed.with_ignored_flag(true).with_kind(why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::PartOptions;
    use super::*;
    use runner::history::{self, History};

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
            part: PartOptions {
                shard: shard.map(|shard| shard.parse().unwrap()),
                ..PartOptions::default()
            },
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
