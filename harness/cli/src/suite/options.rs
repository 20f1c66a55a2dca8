//! What the command line and the environment may change.

use runner::trial::LIMIT_VARIABLE;
use std::path::PathBuf;
use std::str::FromStr;

use super::shard::Shard;
use report::Outputs;

/// The variable that keeps the evidence of trials that passed.
pub const KEEP_VARIABLE: &str = "HARNESS_KEEP";
/// The variable that tells each step on stderr.
pub const VERBOSE_VARIABLE: &str = "HARNESS_VERBOSE";
/// The variable that has every machine booted.
pub const COLD_VARIABLE: &str = "HARNESS_COLD";
/// The variable that random patterns are drawn from.
pub const SEED_VARIABLE: &str = "HARNESS_SEED";
/// The variable that names the part of the trials to run: `2/5`.
pub const SHARD_VARIABLE: &str = "HARNESS_SHARD";
/// The variable that names the file of durations by which shards are made even.
pub const DURATIONS_VARIABLE: &str = "HARNESS_DURATIONS";
/// The variable that says how often a trial that did not pass is tried again.
pub const RETRIES_VARIABLE: &str = "HARNESS_RETRIES";
/// The variable that has flaky trials told and not failed.
pub const FLAKY_OK_VARIABLE: &str = "HARNESS_FLAKY_OK";

/// The variable that has scenarios run on their `more_profiles`, too.
pub const ALL_PROFILES_VARIABLE: &str = "HARNESS_ALL_PROFILES";

/// The variable that names the file of the page.
pub const REPORT_VARIABLE: &str = "HARNESS_REPORT";
/// The variable that names the file for `JUnit` XML.
pub const JUNIT_VARIABLE: &str = "HARNESS_JUNIT";
/// The variable that names the file that the stream of events is appended to.
pub const EVENTS_VARIABLE: &str = "HARNESS_EVENTS";
/// Set by cargo-nextest, where each trial is a process: the trials with one value are one run.
const NEXTEST_RUN: &str = "NEXTEST_RUN_ID";

/// What the command line and the environment may change.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only trials on this profile.
    pub profile: Option<String>,
    /// Trials on all profiles that scenarios name, not only on those that they always run on.
    pub all_profiles: bool,
    /// Keep the evidence of trials that passed.
    pub keep: bool,
    /// Tell each step on stderr.
    pub tell: bool,
    /// Boot every machine, also where a fork of one that is ready would do.
    pub cold: bool,
    /// What random patterns are drawn from; a new one each time where nothing is said.
    pub seed: Option<u64>,
    /// Only this part of the trials.
    pub shard: Option<Shard>,
    /// How long trials take, to make shards even; the tree's own file where nothing is said.
    pub durations: Option<PathBuf>,
    /// How often a trial that did not pass is tried again.
    pub retries: u32,
    /// A trial that passed only when it was tried again does not fail the run.
    pub flaky_ok: bool,
    /// Show on the terminal, if there is one, how each machine goes on.
    pub live: bool,
    /// Files that are to be written.
    pub outputs: Outputs,
    /// A limit in MiB for each machine that is kept, where one is told.
    pub machine_limit: Option<u64>,
}

impl Options {
    /// As the environment says, for `cargo test`, which hands no options of ours over.
    ///
    /// # Errors
    /// A variable makes no sense.
    pub fn from_environment() -> Result<Self, String> {
        Self::from(|name| std::env::var(name).ok())
    }

    fn from(value: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let value = |name| value(name).filter(|value| !value.is_empty());
        let set = |name| value(name).is_some_and(|value| value != "0");
        Ok(Self {
            profile: None,
            all_profiles: set(ALL_PROFILES_VARIABLE),
            keep: set(KEEP_VARIABLE),
            tell: set(VERBOSE_VARIABLE),
            cold: set(COLD_VARIABLE),
            seed: parsed(SEED_VARIABLE, value(SEED_VARIABLE))?,
            shard: parsed(SHARD_VARIABLE, value(SHARD_VARIABLE))?,
            durations: value(DURATIONS_VARIABLE).map(PathBuf::from),
            retries: parsed(RETRIES_VARIABLE, value(RETRIES_VARIABLE))?.unwrap_or(0),
            flaky_ok: set(FLAKY_OK_VARIABLE),
            live: false,
            outputs: Outputs {
                report: value(REPORT_VARIABLE).map(PathBuf::from),
                junit: value(JUNIT_VARIABLE).map(PathBuf::from),
                events: value(EVENTS_VARIABLE).map(PathBuf::from),
                events_anew: false,
                shared_run: value(NEXTEST_RUN),
            },
            machine_limit: parsed(LIMIT_VARIABLE, value(LIMIT_VARIABLE))?,
        })
    }
}

fn parsed<T: FromStr<Err: ToString>>(
    name: &str,
    value: Option<String>,
) -> Result<Option<T>, String> {
    let parsed = value.map(|value| value.parse::<T>()).transpose();
    parsed.map_err(|error| format!("{name}: {}", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(set: &[(&str, &str)]) -> Result<Options, String> {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name);
        Options::from(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_is_read() {
        let options = from(&[
            ("HARNESS_KEEP", "1"),
            ("HARNESS_COLD", "0"),
            ("HARNESS_SHARD", "2/5"),
            ("HARNESS_RETRIES", "2"),
            ("HARNESS_DURATIONS", ""),
        ])
        .unwrap();
        assert!(options.keep && !options.cold && !options.flaky_ok);
        assert_eq!(options.shard.unwrap().to_string(), "2/5");
        assert_eq!((options.retries, options.durations), (2, None));
    }

    #[test]
    fn what_makes_no_sense_names_the_variable() {
        for (name, value) in [
            ("HARNESS_SHARD", "6/5"),
            ("HARNESS_RETRIES", "-1"),
            ("HARNESS_SEED", "seven"),
        ] {
            let error = from(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
