//! `cargo test --test boot`: runs each scenario on each of its profiles as a trial `PROFILE::SCENARIO`.

use std::process::ExitCode;

use harness::exit;
use harness::project;
use harness::suite::{self, Options};

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    match Options::from_environment() {
        Ok(options) => suite::run(&project::find(), &arguments, &options),
        Err(why) => {
            eprintln!("error: {why}");
            exit::USAGE.into()
        }
    }
}
