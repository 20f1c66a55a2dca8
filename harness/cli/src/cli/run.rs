//! Runs the command of a command line.

use std::process::ExitCode;

use base::text::printable;
use harness::project::Project;
use harness::{environment, exit};

use super::options::{Command, Options};
use super::{Refusal, checkpoints, ci, evidence, help, machine, print, project, report};

/// Parses the command line and runs the command.
pub(crate) fn run() -> ExitCode {
    let command = help::command();
    let parsed = environment::parse::<Options>(&command, std::env::args_os());
    let options = parsed.unwrap_or_else(|error| error.exit());
    harness::terminal::print_logs();
    perform(options.command, &harness::project::find()).unwrap_or_else(|refusal| {
        eprintln!("error: {}", printable(&refusal.why));
        refusal.status.into()
    })
}

fn perform(command: Command, project: &Project) -> Result<ExitCode, Refusal> {
    match command {
        Command::Build => machine::build(project),
        Command::Run(options) => machine::run(project, options),
        Command::Ssh { machine, command } => machine::ssh(project, machine.as_deref(), command),
        Command::Stop => machine::stop(project),
        Command::Doctor(given) => machine::doctor(project, &given),
        Command::Test(options) => Ok(project::test(project, options)),
        Command::Prove(options) => Ok(project::prove(project, options)),
        Command::Enter(options) => evidence::enter(project, options),
        Command::Replay(options) => evidence::replay(project, options),
        Command::Check => Ok(project::check(project)),
        Command::Checkpoints(options) => checkpoints::checkpoints(project, &options),
        Command::List { matrix: None } => Ok(project::list(project)),
        Command::List {
            matrix: Some(shards),
        } => Ok(ci::matrix(project, shards)),
        Command::Durations { write } => ci::durations(project, write),
        Command::Report(options) => report::report(project, options),
        Command::BootTimeline { profile } => report::timeline(project, profile.as_deref()),
        Command::Schema { write } => project::schema(project, write),
        Command::Completion { shell } => {
            let mut command = help::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "harness", &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(exit::OK.into())
        }
    }
}
