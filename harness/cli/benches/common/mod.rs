//! Code that the benchmarks share: running, figures and their bounds, and the machine of this OS.

#![allow(dead_code, reason = "each benchmark uses only a part")]

pub(crate) mod bench;
pub(crate) mod figure;
pub(crate) mod memory;
pub(crate) mod ours;

use std::process::ExitCode;

use harness::exit;

use figure::Figure;

/// Errors are only printed.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs a benchmark, prints its figures at the end, and returns the exit status.
pub(crate) fn run(bench: impl Future<Output = Result<Vec<Figure>>>) -> ExitCode {
    match harness::runtime::new().map(|runtime| runtime.block_on(bench)) {
        Ok(Ok(figures)) => figure::verdict(&figures),
        Ok(Err(error)) => no_figures(&error),
        Err(error) => no_figures(&error),
    }
}

fn no_figures(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    exit::INFRASTRUCTURE.into()
}
