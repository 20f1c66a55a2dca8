//! The command line: its options ([`options`]), and one function per command.

mod checkpoints;
mod ci;
mod evidence;
mod machine;
mod options;
mod project;
mod report;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use base::text::printable;
use harness::exit;
use harness::project::Project;

use options::{Command, Options};

/// An error of a command: the exit status and the message.
struct Refusal {
    status: u8,
    why: String,
}

impl Refusal {
    fn usage(why: impl Display) -> Self {
        Self {
            status: exit::USAGE,
            why: why.to_string(),
        }
    }

    fn infrastructure(why: impl Display) -> Self {
        Self {
            status: exit::INFRASTRUCTURE,
            why: why.to_string(),
        }
    }
}

/// Prints a text on stdout. A closed pipe is not an error.
fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Parses the command line and runs the command.
pub(crate) fn run() -> ExitCode {
    let options = Options::parse();
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
        Command::Ssh { command } => machine::ssh(project, command),
        Command::Stop => machine::stop(project),
        Command::Doctor => machine::doctor(project),
        Command::Test(options) => project::test(project, options),
        Command::Prove(options) => project::prove(project, options),
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
            let mut command = Options::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "harness", &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(exit::OK.into())
        }
    }
}
