//! The options of a run, from the command line and the environment.

use runner::evidence::LIMIT_VARIABLE;
use std::path::PathBuf;
use std::str::FromStr;

use super::budget::Budget;
use super::shard::Shard;
use report::Outputs;

/// The variable that keeps the evidence of passed trials.
pub const KEEP_VARIABLE: &str = "HARNESS_KEEP";
/// The variable that prints each step on stderr.
pub const VERBOSE_VARIABLE: &str = "HARNESS_VERBOSE";
/// The variable that disables forks.
pub const COLD_VARIABLE: &str = "HARNESS_COLD";
/// The variable with the seed of random patterns.
pub const SEED_VARIABLE: &str = "HARNESS_SEED";
/// The variable with the shard to run, for example `2/5`.
pub const SHARD_VARIABLE: &str = "HARNESS_SHARD";
/// The variable with the path of the durations that balance shards.
pub const DURATIONS_VARIABLE: &str = "HARNESS_DURATIONS";
/// The variable with the number of retries.
pub const RETRIES_VARIABLE: &str = "HARNESS_RETRIES";
/// The variable that accepts flaky trials.
pub const FLAKY_OK_VARIABLE: &str = "HARNESS_FLAKY_OK";

/// The variable that also runs scenarios on their `more_profiles`.
pub const ALL_PROFILES_VARIABLE: &str = "HARNESS_ALL_PROFILES";

/// The variable with the path of the HTML report.
pub const REPORT_VARIABLE: &str = "HARNESS_REPORT";
/// The variable with the path of the `JUnit` XML report.
pub const JUNIT_VARIABLE: &str = "HARNESS_JUNIT";
/// The variable with the path of the file that events are appended to.
pub const EVENTS_VARIABLE: &str = "HARNESS_EVENTS";
/// Set by cargo-nextest, which runs each trial in its own process. Trials with the same value belong to one
/// run.
const NEXTEST_RUN: &str = "NEXTEST_RUN_ID";

/// The variable that limits how long a run may take: `25m`.
pub const BUDGET_VARIABLE: &str = "HARNESS_BUDGET";

/// The options of a run, from the command line and the environment.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only trials on this profile.
    pub profile: Option<String>,
    /// Also run scenarios on their `more_profiles`.
    pub all_profiles: bool,
    /// Keep the evidence of trials that passed.
    pub keep: bool,
    /// Print each step on stderr.
    pub print_steps: bool,
    /// Boot every machine instead of forking a checkpoint.
    pub cold: bool,
    /// The seed of random patterns; the default is a new seed for each trial.
    pub seed: Option<u64>,
    /// Only this part of the trials.
    pub shard: Option<Shard>,
    /// How long the run may take before it starts no more trials.
    pub budget: Option<Budget>,
    /// The file of durations that balance shards; the default is the file of the tree.
    pub durations: Option<PathBuf>,
    /// How often a trial that did not pass is retried.
    pub retries: u32,
    /// Whether flaky trials do not fail the run.
    pub flaky_ok: bool,
    /// Show the progress of each machine if the terminal is interactive.
    pub live: bool,
    /// The files to write.
    pub outputs: Outputs,
    /// The size limit of a failure snapshot in MiB; the default is [`runner::evidence::LIMIT_MIB`].
    pub machine_limit: Option<u64>,
}

impl Options {
    /// Reads the options from the environment, for `cargo test`, which does not pass options on.
    ///
    /// # Errors
    /// A variable has an invalid value.
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
            print_steps: set(VERBOSE_VARIABLE),
            cold: set(COLD_VARIABLE),
            seed: parsed(SEED_VARIABLE, value(SEED_VARIABLE))?,
            shard: parsed(SHARD_VARIABLE, value(SHARD_VARIABLE))?,
            budget: parsed(BUDGET_VARIABLE, value(BUDGET_VARIABLE))?,
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
    fn from_reads_the_environment() {
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
    fn from_names_the_variable_when_its_value_is_invalid() {
        for (name, value) in [
            ("HARNESS_SHARD", "6/5"),
            ("HARNESS_RETRIES", "-1"),
            ("HARNESS_SEED", "seven"),
            ("HARNESS_BUDGET", "0s"),
        ] {
            let error = from(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
