//! The options of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use harness::artifacts::Given;
use harness::{prove, suite};

use super::report;

/// Boots a build of the OS under QEMU and tests it with scenario files.
#[derive(Debug, Parser)]
#[command(name = "harness", version)]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build the OS: dist/artifacts/vmlinuz and initrd
    Build,
    /// Boot the OS interactively; its disk persists between runs
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunOptions),
    /// Open a shell in a machine of `harness run`, or run a command in it
    #[command(after_help = SSH_EXAMPLES)]
    Ssh {
        /// The machine, if several run
        machine: Option<String>,
        /// The command; the default is a shell
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Stop the machines of `harness run`
    Stop,
    /// Run the trials of `cargo test --test boot`
    #[command(after_help = TEST_EXAMPLES)]
    Test(TestOptions),
    /// Prove that scenarios can fail: each sabotage must make its scenario fail at the named step
    #[command(after_help = PROVE_EXAMPLES)]
    Prove(ProveOptions),
    /// Restore the machine of a failed trial, or stop a trial before a step
    #[command(after_help = ENTER_EXAMPLES, mut_arg("cold", |cold| cold.requires("before")))]
    Enter(EnterOptions),
    /// Run a trial again from its evidence folder
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayOptions),
    /// Validate all scenarios and profiles
    Check,
    /// List the scenarios and the profiles that they run on
    List {
        /// Print a job matrix for a CI service as JSON, with this many shards of each profile
        #[arg(long, value_name = "SHARDS", value_parser = clap::value_parser!(u16).range(1..))]
        matrix: Option<u16>,
    },
    /// Print the durations of trials on this host, which balance shards
    Durations {
        /// Merge the durations into ci/durations.json instead
        #[arg(long)]
        write: bool,
    },
    /// Generate the report of a run from its event stream (`--events`)
    #[command(after_help = REPORT_EXAMPLES)]
    Report(report::Options),
    /// Print the boot timeline of the last boots and their budgets
    #[command(name = "ladder")]
    BootTimeline {
        /// Only this profile
        profile: Option<String>,
    },
    /// List the checkpoints that trials fork, stored in target/checkpoints
    #[command(
        after_help = "Examples:\n  harness checkpoints --explain two-dockers    why is its checkpoint not reused?"
    )]
    Checkpoints(CheckpointOptions),
    /// Check what this host supports, and what to install
    Doctor(Given),
    /// Print a shell completion script
    #[command(
        after_help = "Example:\n  harness completion bash > ~/.local/share/bash-completion/completions/harness"
    )]
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Print the JSON schema of scenario files
    Schema {
        /// Update the committed schema files instead
        #[arg(long)]
        write: bool,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  harness run --fresh --memory 2048
  harness run --append rancher.password=secret --cloud-config my.yaml
  harness run --machines 3             a, b and c on one network, at ports 2222 to 2224
  ssh -p 2222 rancher@localhost        while the machine runs";

const SSH_EXAMPLES: &str = "\
Examples:
  harness ssh
  harness ssh -- sudo system-docker ps
  harness ssh b                        one of several machines
  harness ssh b -- ping -c 1 a";

/// `harness run`.
#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// Boot N machines, named a, b, c, which reach each other by name
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=26))]
    pub(super) machines: u8,
    /// Start with an empty disk
    #[arg(long)]
    pub(super) fresh: bool,
    /// The hardware profile (qemu-profiles/*.yaml)
    #[arg(long, default_value = "q35")]
    pub(super) profile: String,
    /// Memory of each machine in MiB; the default is that of the profile
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) memory: Option<u64>,
    /// Additional kernel argument; can be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub(super) append: Vec<String>,
    /// cloud-config for the config drive; your public keys are added
    #[arg(long, value_name = "FILE")]
    pub(super) cloud_config: Option<PathBuf>,
    /// Leave the machines running in the background
    #[arg(long)]
    pub(super) background: bool,
    /// Port of this host that is forwarded to SSH of the machine; further machines have the ports after it
    #[arg(long, default_value_t = 2222, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: u16,
    #[command(flatten)]
    pub(super) given: Given,
}

/// `harness checkpoints`.
#[derive(Debug, Args)]
pub(super) struct CheckpointOptions {
    /// Remove all checkpoints that are not in use
    #[arg(long, conflicts_with = "explain")]
    pub(super) remove: bool,
    /// Explain which checkpoints the trials whose names contain FILTER use, and why existing ones are not
    /// reused
    #[arg(long, value_name = "FILTER")]
    pub(super) explain: Option<String>,
    #[command(flatten)]
    pub(super) given: Given,
}

const REPORT_EXAMPLES: &str = "\
Evidence is searched at its recorded path and beside the file of the event stream.

Example:
  harness test --events events.jsonl; harness report --from events.jsonl --output report.html";

/// How many trials run at a time.
#[derive(Debug, Args)]
pub(super) struct Jobs {
    /// Number of trials at a time; the default is the number of cores
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

impl Jobs {
    /// The number of threads for libtest-mimic.
    pub(super) fn threads(&self) -> Option<usize> {
        self.jobs.map(usize::from)
    }

    /// Whether only one trial runs at a time, so that its steps can be printed.
    pub(super) fn is_one(&self) -> bool {
        self.jobs == Some(1)
    }
}

const PROVE_EXAMPLES: &str = "\
Examples:
  harness prove                        every sabotage of every scenario
  harness prove ssh-key --verbose      the sabotages of one scenario, with each step
  harness prove --shard 1/3            a third of the sabotages
  harness prove --budget 10m           what failed or changed, and as many more as fit";

/// `harness prove`.
#[derive(Debug, Args)]
pub(super) struct ProveOptions {
    /// Only sabotages whose name (PROFILE::SCENARIO::sabotage-N) contains this text
    pub(super) filter: Option<String>,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    #[command(flatten)]
    pub(super) options: prove::Options,
    /// List the sabotages without booting
    #[arg(long)]
    pub(super) list: bool,
}

const TEST_EXAMPLES: &str = "\
Examples:
  harness test                         all trials
  harness test two-dockers             trials whose name contains this text
  harness test --profile pc --jobs 1   one after another, with each step
  harness test --shard 2/5 --retries 1 the part of one of five CI machines
  harness test --report report.html    with an HTML report";

/// `harness test`.
#[derive(Debug, Args)]
pub(super) struct TestOptions {
    /// Only trials whose name (PROFILE::SCENARIO) contains this text
    pub(super) filter: Option<String>,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    #[command(flatten)]
    pub(super) options: suite::Options,
    /// Also run trials that this host probably cannot run
    #[arg(long)]
    pub(super) include_ignored: bool,
    /// Accept the output: update snapshots that differ or do not exist
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
    /// The evidence folder of a failed trial; with --before, SCENARIO or PROFILE::SCENARIO
    #[arg(value_name = "EVIDENCE")]
    pub(super) what: String,
    /// Run the scenario and stop before this step (its number or name)
    #[arg(long, value_name = "STEP")]
    pub(super) before: Option<String>,
    /// One machine of several; the default is all of them, with their networks
    #[arg(long, value_name = "NAME")]
    pub(super) machine: Option<String>,
    /// Keep the machine paused until Ctrl-A C
    #[arg(long, conflicts_with_all = ["before", "background"])]
    pub(super) paused: bool,
    /// Leave the machine running in the background
    #[arg(long)]
    pub(super) background: bool,
    #[command(flatten)]
    pub(super) trial: suite::TrialOptions,
    #[command(flatten)]
    pub(super) failure: suite::FailureOptions,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  harness replay target/evidence/q35-two-dockers-1700000000-0
  harness replay from-ci/q35-boot-1700000000-0 --kernel vmlinuz --initrd initrd

Exit status: 0 the trial passed, 1 it failed, 3 an error prevented a verdict";

/// `harness replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayOptions {
    /// The evidence folder of a trial
    pub(super) evidence: PathBuf,
    /// Boot the present artifacts and serve the present images, even if they differ
    #[arg(long)]
    pub(super) any_artifacts: bool,
    #[command(flatten)]
    pub(super) trial: suite::TrialOptions,
    #[command(flatten)]
    pub(super) failure: suite::FailureOptions,
}
