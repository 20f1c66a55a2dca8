//! All trials of a tree, run by libtest-mimic: what `cargo test --test boot` and `harness test` do.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use libtest_mimic::{Arguments, Conclusion, Failed};

use crate::artifacts::Artifacts;
use crate::checkpoint::Store;
use crate::event::{Listeners, What};
use crate::exit;
use crate::profile::Profile;
use crate::project::Project;
use crate::report::Lines;
use crate::scenario::Scenario;
use crate::source::{SourceError, render_all};
use crate::terminal::colour;
use crate::trial::{Failure, Settings, Trial};

/// The variable that keeps the evidence of trials that passed, and tells each step.
pub const KEEP_VARIABLE: &str = "HARNESS_KEEP";
/// The variable that tells each step on stderr.
pub const VERBOSE_VARIABLE: &str = "HARNESS_VERBOSE";

/// The variable that has every machine booted.
pub const COLD_VARIABLE: &str = "HARNESS_COLD";

/// The variable that random patterns are drawn from.
pub const SEED_VARIABLE: &str = "HARNESS_SEED";

/// What the command line may change.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only trials on this profile.
    pub profile: Option<String>,
    /// Keep the evidence of trials that passed.
    pub keep: bool,
    /// Tell each step on stderr.
    pub tell: bool,
    /// Boot every machine, also where a fork of one that is ready would do.
    pub cold: bool,
}

impl Options {
    /// As the environment says, for `cargo test`, which hands no options of ours over.
    pub fn from_environment() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
        Self {
            profile: None,
            keep: set(KEEP_VARIABLE),
            tell: set(VERBOSE_VARIABLE),
            cold: set(COLD_VARIABLE),
        }
    }
}

/// What the trials of one run share.
struct Shared {
    settings: Settings,
    /// There before the first trial runs; not while they are only listed.
    artifacts: OnceLock<Artifacts>,
    /// Some trial had no machine to judge.
    infrastructure: AtomicBool,
}

/// Runs (or lists) the trials; prints; gives the exit code.
pub fn run(project: &Project, arguments: &Arguments, options: &Options) -> ExitCode {
    let (profiles, scenarios) = match project.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{}\n", render_all(&errors, colour(&std::io::stderr())));
            eprintln!(
                "nothing was booted: {} in scenarios or profiles",
                count(errors.len())
            );
            return exit::RED.into();
        }
    };
    let trials = matrix(profiles, scenarios, options.profile.as_deref());
    if let Some(profile) = options.profile.as_ref().filter(|_| trials.is_empty()) {
        eprintln!("no scenario runs on a profile `{profile}`; see `harness list`");
        return exit::USAGE.into();
    }
    run_trials(project, arguments, options, trials)
}

/// All trials of a tree, by name.
///
/// # Errors
/// All that is wrong in its scenarios and profiles.
pub fn trials(project: &Project) -> Result<Vec<Trial>, Vec<SourceError>> {
    let (profiles, scenarios) = project.load()?;
    Ok(matrix(profiles, scenarios, None))
}

fn count(errors: usize) -> String {
    if errors == 1 {
        "1 error".into()
    } else {
        format!("{errors} errors")
    }
}

/// Each scenario on each of its profiles.
fn matrix(profiles: Vec<Profile>, scenarios: Vec<Scenario>, only: Option<&str>) -> Vec<Trial> {
    let scenarios: Vec<_> = scenarios.into_iter().map(Arc::new).collect();
    let of = |profile: Profile| {
        let wanted = scenarios.iter().filter({
            let name = profile.name.clone();
            move |scenario| scenario.profiles.contains(&name)
        });
        let trial = move |s: &Arc<Scenario>| Trial {
            profile: profile.clone(),
            scenario: s.clone(),
        };
        wanted.map(trial).collect::<Vec<_>>()
    };
    let mut trials: Vec<_> = profiles.into_iter().flat_map(of).collect();
    trials.retain(|trial| only.is_none_or(|only| trial.profile.name == only));
    trials.sort_by_key(Trial::name);
    trials
}

fn run_trials(
    project: &Project,
    arguments: &Arguments,
    options: &Options,
    trials: Vec<Trial>,
) -> ExitCode {
    let evidence = project.evidence_folder();
    let given = std::env::var(SEED_VARIABLE).unwrap_or_default();
    let seed = match seed(&given) {
        Ok(seed) => seed,
        Err(why) => {
            eprintln!("error: {why}");
            return exit::USAGE.into();
        }
    };
    let shared = Arc::new(Shared {
        settings: Settings {
            evidence,
            keep: options.keep,
            seed,
            listeners: if options.tell {
                Listeners::default().with(Lines::new())
            } else {
                Listeners::default()
            },
            checkpoints: (!options.cold).then(|| Store::new(project.checkpoints_folder())),
        },
        artifacts: OnceLock::new(),
        infrastructure: AtomicBool::new(false),
    });
    let trials: Vec<_> = trials
        .into_iter()
        .map(|trial| listed(trial, &shared))
        .collect();
    let wanted = |trial: &&libtest_mimic::Trial| !arguments.is_filtered_out(trial);
    if let Some(filter) = &arguments.filter
        && !trials.iter().any(|trial| wanted(&trial))
    {
        eprintln!("no trial matches `{filter}`; there are:");
        trials
            .iter()
            .for_each(|trial| eprintln!("  {}", trial.name()));
        return exit::USAGE.into();
    }
    let boots = trials
        .iter()
        .filter(wanted)
        .any(|trial| !arguments.is_ignored(trial));
    if !boots && !arguments.list && trials.iter().any(|trial| wanted(&trial)) {
        drop(libtest_mimic::run(arguments, trials));
        eprintln!(
            "error: no trial can run on this host, so nothing is proven; see `harness doctor`"
        );
        return exit::INFRASTRUCTURE.into();
    }
    if boots && !arguments.list {
        match Artifacts::obtain(project) {
            Ok(artifacts) => drop(shared.artifacts.set(artifacts)),
            Err(error) => {
                eprintln!("error: {error}");
                return exit::INFRASTRUCTURE.into();
            }
        }
    }
    let names = trials.iter().filter(wanted);
    let (ignored, boots): (Vec<_>, Vec<_>) = names.partition(|one| arguments.is_ignored(one));
    let listeners = &shared.settings.listeners;
    listeners.tell(What::RunBegins {
        trials: boots.iter().map(|one| one.name().to_owned()).collect(),
        ignored: ignored
            .iter()
            .map(|one| (one.name().to_owned(), one.kind().to_owned()))
            .collect(),
    });
    let begin = Instant::now();
    let conclusion = libtest_mimic::run(arguments, trials);
    let took = begin.elapsed().as_secs_f64();
    listeners.tell(What::RunEnds { took });
    verdict(&conclusion, &shared)
}

/// The seed that somebody gave.
fn seed(given: &str) -> Result<Option<u64>, String> {
    let number = || given.parse().map(Some);
    let none = given.is_empty().then_some(Ok(None));
    none.unwrap_or_else(number).map_err(|_| {
        format!(
            "{SEED_VARIABLE}={given} is no seed; a seed is a whole number, as a power cut tells it"
        )
    })
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
fn listed(trial: Trial, shared: &Arc<Shared>) -> libtest_mimic::Trial {
    let unreachable = trial.profile.check_host().err();
    let shared = Arc::clone(shared);
    let listed = libtest_mimic::Trial::test(trial.name(), move || one(&trial, &shared));
    match unreachable {
        None => listed,
        Some(why) => listed
            .with_ignored_flag(true)
            .with_kind(format!("{}; {}", why.why, why.hint)),
    }
}

/// Runs one trial to its end.
fn one(trial: &Trial, shared: &Shared) -> Result<(), Failed> {
    let infrastructure = |text: String| {
        shared.infrastructure.store(true, Ordering::Relaxed);
        Failed::from(format!("no verdict: {text}"))
    };
    let Some(artifacts) = shared.artifacts.get() else {
        return Err(infrastructure("there is nothing to boot".into()));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| infrastructure(error.to_string()))?;
    match runtime.block_on(trial.run(artifacts, &shared.settings)) {
        Ok(()) => Ok(()),
        Err(Failure::Red(red)) => Err(red.text.into()),
        Err(Failure::Infrastructure(text)) => Err(infrastructure(text)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_seed_is_a_number() {
        assert_eq!(super::seed(""), Ok(None));
        assert_eq!(super::seed("18446744073709551615"), Ok(Some(u64::MAX)));
        for wrong in ["-1", "seven", "18446744073709551616"] {
            let why = super::seed(wrong).unwrap_err();
            assert!(why.contains(wrong), "{why}");
        }
    }
}
