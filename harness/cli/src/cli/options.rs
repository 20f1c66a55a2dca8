//! What the command line understands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use harness::suite::Shard;

use super::report;

const AFTER: &str = "\
Exit status:
  0  as wanted
  1  a verdict is red, or a check found something
  2  the command was not understood
  3  there was no verdict: no QEMU, no build, no room

Environment:
  HARNESS_KERNEL, HARNESS_INITRD  boot these instead of what this tree builds
  HARNESS_ALL_PROFILES=1          run scenarios on their `more_profiles`, too (cargo test)
  HARNESS_COLD=1                  boot every machine instead of forking (cargo test)
  HARNESS_KEEP=1                  keep the evidence of trials that passed
  HARNESS_MACHINE_LIMIT=MIB       keep the machine of a red trial in at most so much; 0 keeps none
  HARNESS_SEED=NUMBER             draw what power cuts lose from this again
  HARNESS_VERBOSE=1               tell each step (cargo test)
  HARNESS_SHARD=2/5               run a part of the trials only
  HARNESS_DURATIONS=FILE          how long trials take, to make shards even
  HARNESS_RETRIES=1               try a trial that did not pass again
  HARNESS_FLAKY_OK=1              a trial that passed only then does not fail the run
  HARNESS_REPORT, HARNESS_JUNIT   as --report and --junit of `harness test` (cargo test)
  HARNESS_EVENTS                  as --events, but appended (cargo test)
  NO_COLOR=1                      no colours

Examples:
  harness run                          boot the OS, its console in this terminal
  harness run --background && harness ssh -- docker info
  harness test two-dockers             one scenario, each step as it happens
  harness check                        read all scenarios, boot nothing";

/// Boots a build of the OS under QEMU, and proves it with scenario files.
#[derive(Debug, Parser)]
#[command(name = "harness", version, after_help = AFTER)]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build the OS: dist/artifacts/vmlinuz and initrd
    Build,
    /// Boot the OS for a person; its disk is kept from run to run
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunOptions),
    /// Open a shell in the machine of `harness run`, or run a command in it
    #[command(after_help = "Examples:\n  harness ssh\n  harness ssh -- sudo system-docker ps")]
    Ssh {
        /// The command; a shell without one
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// End the machine of `harness run`
    Stop,
    /// Run the trials of `cargo test --test boot`
    #[command(after_help = TEST_EXAMPLES)]
    Test(TestOptions),
    /// See that scenarios can fail: each sabotage must turn its scenario red at the step it names
    #[command(after_help = PROVE_EXAMPLES)]
    Prove(ProveOptions),
    /// Bring back the machine of a red trial as it stood, or stop a trial before a step
    #[command(after_help = ENTER_EXAMPLES)]
    Enter(EnterOptions),
    /// Run the trial that left an evidence folder again, from what that folder holds
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayOptions),
    /// Read all scenarios and profiles and tell all that is wrong with them
    Check,
    /// List the scenarios, and the profiles they run on
    List {
        /// As JSON: profiles, so many shards of each, as a CI service takes a matrix
        #[arg(long, value_name = "SHARDS", value_parser = clap::value_parser!(u16).range(1..))]
        matrix: Option<u16>,
    },
    /// Print how long trials take here, for runs in shards
    Durations {
        /// Put it into ci/durations.json instead, beside what that knows of other trials
        #[arg(long)]
        write: bool,
    },
    /// Make the report of a run that was streamed with `--events`
    #[command(after_help = REPORT_EXAMPLES)]
    Report(report::Options),
    /// Tell by when boots reach their stages, and by when they should
    BootTimeline {
        /// Only this profile
        profile: Option<String>,
    },
    /// List the machines that trials go on from, kept under target/checkpoints
    #[command(
        after_help = "Examples:\n  harness checkpoints --explain two-dockers    why is this one not reused?"
    )]
    Checkpoints(CheckpointOptions),
    /// Tell what this host can do, and what to install for the rest
    Doctor,
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  harness completion bash > ~/.local/share/bash-completion/completions/harness"
    )]
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Print the JSON schema of scenario files
    Schema {
        /// Write the committed schema files instead
        #[arg(long)]
        write: bool,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  harness run --fresh --memory 2048
  harness run --append rancher.password=secret --cloud-config my.yaml
  ssh -p 2222 rancher@localhost        while it runs";

/// `harness run`.
#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// Begin with an empty disk
    #[arg(long)]
    pub(super) fresh: bool,
    /// The machine to pretend to be (qemu-profiles/*.yaml)
    #[arg(long, default_value = "q35")]
    pub(super) profile: String,
    /// Memory in MiB instead of the profile's
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) memory: Option<u64>,
    /// Kernel argument after those of the profile; may be given again
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub(super) append: Vec<String>,
    /// A cloud-config for the config drive; your public keys are added
    #[arg(long, value_name = "FILE")]
    pub(super) cloud_config: Option<PathBuf>,
    /// Leave it running and give the terminal back
    #[arg(long)]
    pub(super) background: bool,
    /// Port of this host that leads to the machine's SSH
    #[arg(long, default_value_t = 2222, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: u16,
}

/// `harness checkpoints`.
#[derive(Debug, Args)]
pub(super) struct CheckpointOptions {
    /// Remove them, but for those in use
    #[arg(long, conflicts_with = "explain")]
    pub(super) remove: bool,
    /// Tell which ones trials with this in their name go on from, and what keeps those that are
    /// there from being used
    #[arg(long, value_name = "FILTER")]
    pub(super) explain: Option<String>,
}

const REPORT_EXAMPLES: &str = "\
Evidence is looked for where it was, and beside the stream's file.

Example:
  harness test --events events.jsonl; harness report --from events.jsonl --output report.html";

/// How trials are run.
#[derive(Debug, Args)]
pub(super) struct Pace {
    /// How many at a time; as many as there are cores unless told
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,
    /// Tell each step as it happens, also with many jobs
    #[arg(long, short)]
    pub(super) verbose: bool,
}

impl Pace {
    /// How many at a time, as libtest-mimic wants it.
    pub(super) fn threads(&self) -> Option<usize> {
        self.jobs.map(usize::from)
    }

    /// Whether steps are told: where somebody asks for it, and where one trial runs at a time.
    pub(super) fn tells(&self) -> bool {
        self.verbose || self.jobs == Some(1)
    }
}

const PROVE_EXAMPLES: &str = "\
Examples:
  harness prove                        every sabotage of every scenario
  harness prove ssh-key --verbose      those of one, each step as it happens
  harness prove --shard 1/3            a third of them";

/// `harness prove`.
#[derive(Debug, Args)]
pub(super) struct ProveOptions {
    /// Only sabotages (PROFILE::SCENARIO::sabotage-N) with this in their name
    pub(super) filter: Option<String>,
    /// On this profile instead of the first of each scenario
    #[arg(long)]
    pub(super) profile: Option<String>,
    #[command(flatten)]
    pub(super) pace: Pace,
    /// Only the second of five parts of the sabotages, and the like
    #[arg(long, value_name = "N/OF")]
    pub(super) shard: Option<Shard>,
    /// Keep the evidence of what was red as it should be
    #[arg(long)]
    pub(super) keep: bool,
    /// List the sabotages, and boot nothing
    #[arg(long)]
    pub(super) list: bool,
}

const TEST_EXAMPLES: &str = "\
Examples:
  harness test                         all
  harness test two-dockers             those with this in their name
  harness test --profile pc --jobs 1   one after another, each step as it happens
  harness test --shard 2/5 --retries 1 what one of five machines of a CI service runs
  harness test --report report.html    and a page to look at it afterwards";

/// `harness test`.
#[derive(Debug, Args)]
pub(super) struct TestOptions {
    /// Only trials (PROFILE::SCENARIO) with this in their name
    pub(super) filter: Option<String>,
    /// Only trials on this profile
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// Trials on all profiles that scenarios name, their `more_profiles` among them
    #[arg(long, conflicts_with = "profile")]
    pub(super) all_profiles: bool,
    #[command(flatten)]
    pub(super) pace: Pace,
    /// Keep the evidence of trials that passed
    #[arg(long)]
    pub(super) keep: bool,
    /// Boot every machine, also where a fork of one that is ready would do
    #[arg(long)]
    pub(super) cold: bool,
    /// Only the second of five parts of the trials, and the like
    #[arg(long, value_name = "N/OF")]
    pub(super) shard: Option<Shard>,
    /// How long trials take, to make shards even; the same file for all of them [default: ci/durations.json]
    #[arg(long, value_name = "FILE")]
    pub(super) durations: Option<PathBuf>,
    /// Try a trial that did not pass again, so many times; a pass then is flaky
    #[arg(long, value_name = "N")]
    pub(super) retries: Option<u32>,
    /// Flaky trials do not fail the run
    #[arg(long)]
    pub(super) flaky_ok: bool,
    #[command(flatten)]
    pub(super) output: report::Output,
    /// Run trials that this host is thought unable to run, too
    #[arg(long)]
    pub(super) include_ignored: bool,
    /// Keep the machine of a red trial in at most so many MiB, to enter it; 0 keeps none
    /// [default: 1024]
    #[arg(long, value_name = "MIB")]
    pub(super) keep_machine_limit: Option<u64>,
    /// What is printed now is right: write it into the snapshots that differ, or are not there
    #[arg(long, requires = "filter")]
    pub(super) accept: bool,
}

const ENTER_EXAMPLES: &str = "\
Examples:
  harness enter target/evidence/q35-two-dockers-1700000000-0
  harness enter target/evidence/q35-two-dockers-1700000000-0 --paused
  harness enter two-dockers --before 3
  harness enter pc::remember --before 'a note is written'
  harness ssh                          from another terminal";

/// `harness enter`.
#[derive(Debug, Args)]
pub(super) struct EnterOptions {
    /// The evidence folder of a red trial; with --before, SCENARIO or PROFILE::SCENARIO
    #[arg(value_name = "EVIDENCE")]
    pub(super) what: String,
    /// Run the scenario, and stop before this step (its number or its name)
    #[arg(long, value_name = "STEP")]
    pub(super) before: Option<String>,
    /// Let the machine stand still until Ctrl-A C
    #[arg(long, conflicts_with_all = ["before", "background"])]
    pub(super) paused: bool,
    /// Leave it running and give the terminal back
    #[arg(long)]
    pub(super) background: bool,
    /// Boot the machine of --before, also where a fork of one that is ready would do
    #[arg(long, requires = "before")]
    pub(super) cold: bool,
    #[command(flatten)]
    pub(super) boot: BootOptions,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  harness replay target/evidence/q35-two-dockers-1700000000-0
  harness replay from-ci/q35-boot-1700000000-0 --kernel vmlinuz --initrd initrd

Exit status: 0 it passed now, 1 it is red again, 3 there was no verdict";

/// `harness replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayOptions {
    /// The evidence folder of a trial
    pub(super) evidence: PathBuf,
    /// Boot and serve what is here, also where the trial had something else
    #[arg(long)]
    pub(super) any_artifacts: bool,
    #[command(flatten)]
    pub(super) boot: BootOptions,
}

/// What is booted, where it is not found by itself.
#[derive(Debug, Args)]
pub(super) struct BootOptions {
    /// The kernel; where the trial had it, or the tree's, unless told
    #[arg(long, value_name = "FILE", requires = "initrd")]
    pub(super) kernel: Option<PathBuf>,
    /// The initrd
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub(super) initrd: Option<PathBuf>,
}
