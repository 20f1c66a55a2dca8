//! `cargo test --test boot`: runs each scenario on each of its profiles as a trial `PROFILE::SCENARIO`.

use std::process::ExitCode;

use harness::project;
use harness::suite::{self, Options};

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let options = Options::from_environment().unwrap_or_else(|error| error.exit());
    suite::run(&project::find(), &arguments, &options)
}
