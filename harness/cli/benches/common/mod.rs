//! What the benches share: the frame of a run, figures and their bounds, the machine of this OS.

#![allow(dead_code, reason = "each bench uses what it needs of it")]

pub mod bench;
pub mod figure;
pub mod ours;

use std::process::ExitCode;

use harness::exit;

use figure::Figure;

/// What goes wrong is told to a person, who reads all of it.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs a bench; its figures come last, and the status is their verdict.
pub fn run(bench: impl Future<Output = Result<Vec<Figure>>>) -> ExitCode {
    match tokio::runtime::Runtime::new().map(|runtime| runtime.block_on(bench)) {
        Ok(Ok(figures)) => figure::verdict(&figures),
        Ok(Err(error)) => no_figures(&error),
        Err(error) => no_figures(&error),
    }
}

fn no_figures(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    exit::INFRASTRUCTURE.into()
}
