//! The first program of the console's container.

use std::process::ExitCode;

fn main() -> ExitCode {
    match init::console::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            init::report::Report::new().say(&format!("rancher: console: {error}"));
            ExitCode::FAILURE
        }
    }
}
