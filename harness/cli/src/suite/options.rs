//! The options of a run, from the command line and the environment.

use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::artifacts::Given;
use crate::environment;
use report::Outputs;

use super::budget::Budget;
use super::shard::Shard;

/// The variable that disables forks.
pub const COLD_VARIABLE: &str = "HARNESS_COLD";

/// How trials are run.
#[derive(Debug, Clone, Default, Args)]
pub struct TrialOptions {
    /// Keep the evidence of trials that ended as expected
    #[arg(long, env = "HARNESS_KEEP", value_parser = FalseyValueParser::new())]
    pub keep: bool,
    /// Boot every machine instead of forking a checkpoint
    #[arg(long, env = COLD_VARIABLE, value_parser = FalseyValueParser::new())]
    pub cold: bool,
    /// The artifacts.
    #[command(flatten)]
    pub given: Given,
}

/// What trials that may fail use and leave.
#[derive(Debug, Clone, Default, Args)]
pub struct FailureOptions {
    /// Seed of the writes that power cuts lose; the default is a new seed for each trial
    #[arg(long, value_name = "NUMBER", env = "HARNESS_SEED")]
    pub seed: Option<u64>,
    /// Size limit of failure snapshots in MiB, which `harness enter` restores; 0 disables them
    /// [default: 1024]
    #[arg(long, value_name = "MIB", env = "HARNESS_MACHINE_LIMIT")]
    pub keep_machine_limit: Option<u64>,
}

/// Which part of a run is executed, and how it is shown.
#[derive(Debug, Clone, Default, Args)]
pub struct PartOptions {
    /// Print each step, even with many jobs
    #[arg(long, short, env = "HARNESS_VERBOSE", value_parser = FalseyValueParser::new())]
    pub verbose: bool,
    /// Run only this part, for example 2/5
    #[arg(long, value_name = "N/OF", env = "HARNESS_SHARD")]
    pub shard: Option<Shard>,
    /// Start no more trials after this time, for example 25m: trials that failed or changed run first, then
    /// those whose turn it is; the others are ignored
    #[arg(long, value_name = "DURATION", env = "HARNESS_BUDGET")]
    pub budget: Option<Budget>,
    /// Also run scenarios that are `nightly`
    #[arg(long, env = "HARNESS_NIGHTLY", value_parser = FalseyValueParser::new())]
    pub nightly: bool,
    /// Durations of trials, to balance shards; must be the same for all shards [default: ci/durations.json]
    #[arg(long, value_name = "FILE", env = "HARNESS_DURATIONS")]
    pub durations: Option<PathBuf>,
}

/// The output files of a run.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputOptions {
    /// Write an HTML report
    #[arg(long, value_name = "FILE", env = "HARNESS_REPORT")]
    report: Option<PathBuf>,
    /// Write a JUnit XML report
    #[arg(long, value_name = "FILE", env = "HARNESS_JUNIT")]
    junit: Option<PathBuf>,
    /// Write the event stream as JSON lines; - for stdout
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Append the event stream to a file
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "events",
        env = "HARNESS_EVENTS"
    )]
    append_events: Option<PathBuf>,
    /// The run that this trial belongs to; cargo-nextest runs each trial in its own process.
    #[arg(long, hide = true, env = "NEXTEST_RUN_ID")]
    shared_run: Option<String>,
}

impl OutputOptions {
    /// The files to write.
    pub fn outputs(&self) -> Outputs {
        Outputs {
            report: self.report.clone(),
            junit: self.junit.clone(),
            events_anew: self.events.is_some(),
            events: self.events.clone().or(self.append_events.clone()),
            shared_run: self.shared_run.clone(),
        }
    }
}

/// The options of a run of trials.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Only trials on this profile
    #[arg(long)]
    pub profile: Option<String>,
    /// Also run scenarios on their `more_profiles`
    #[arg(
        long,
        conflicts_with = "profile",
        env = "HARNESS_ALL_PROFILES",
        value_parser = FalseyValueParser::new()
    )]
    pub all_profiles: bool,
    /// How trials are run.
    #[command(flatten)]
    pub trial: TrialOptions,
    /// The part to run.
    #[command(flatten)]
    pub part: PartOptions,
    /// Retry a trial that did not pass up to N times; a pass after a retry is flaky
    #[arg(long, value_name = "N", env = "HARNESS_RETRIES")]
    pub retries: Option<u32>,
    /// Do not fail the run for flaky trials
    #[arg(long, env = "HARNESS_FLAKY_OK", value_parser = FalseyValueParser::new())]
    pub flaky_ok: bool,
    /// The files to write.
    #[command(flatten)]
    pub output: OutputOptions,
    /// What a failure leaves.
    #[command(flatten)]
    pub failure: FailureOptions,
    /// Show the progress of each machine if the terminal is interactive.
    #[arg(skip)]
    pub live: bool,
}

impl Options {
    /// Reads the options from the environment, for `cargo test`, which does not pass options on.
    ///
    /// # Errors
    /// A variable has an invalid value.
    pub fn from_environment() -> Result<Self, clap::Error> {
        environment::options()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser};
    use std::ffi::OsString;

    #[derive(Debug, Parser)]
    struct Test {
        #[command(flatten)]
        options: Options,
    }

    fn parsed(arguments: &[&str]) -> Result<Options, clap::Error> {
        let all = ["test"].iter().chain(arguments).map(OsString::from);
        environment::parse::<Test>(&Test::command(), all).map(|test| test.options)
    }

    #[test]
    fn events_are_truncated_or_appended_to() {
        let outputs = |option| parsed(&[option, "x"]).unwrap().output.outputs();
        let (written, appended) = (outputs("--events"), outputs("--append-events"));
        assert_eq!(written.events, appended.events);
        assert!(written.events_anew && !appended.events_anew);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        for wrong in [
            &["--shard", "6/5"][..],
            &["--retries", "-1"],
            &["--seed", "seven"],
            &["--budget", "0s"],
            &["--profile", "q35", "--all-profiles"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
