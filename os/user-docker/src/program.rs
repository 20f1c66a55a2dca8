//! The steps until the engine runs.

use std::process::ExitCode;

use tokio::sync::Notify;

use crate::report::warn;
use crate::{arguments, engine_process, flannel, network, tls_server};

/// Prepares the engine, starts it and returns its exit status when it has exited.
pub fn main() -> ExitCode {
    if let Err(error) = tree::engine::enter_tree() {
        warn(&error.to_string());
    }
    if let Err(error) = mounts::wait_for_remote() {
        warn(&error.to_string());
    }
    if let Err(error) = network::wait(&config::load_machine().config) {
        warn(&error);
    }
    let subnet_written = flannel::watch();
    let mut is_first = true;
    loop {
        match run_engine(&subnet_written, is_first) {
            Ok(Some(code)) => return code,
            // The subnet of its network changed.
            Ok(None) => is_first = false,
            Err(error) => {
                eprintln!("{}: {error}", engines::PROGRAM);
                return ExitCode::FAILURE;
            }
        }
    }
}

/// Runs the engine with the current configuration and returns its exit status; `None` if it has to start again.
fn run_engine(subnet_written: &Notify, is_first: bool) -> std::io::Result<Option<ExitCode>> {
    let (subnet, problem) = flannel::wait(&config::load_machine().config);
    if let Some(problem) = problem {
        warn(&problem);
    }
    // Read again: the waits may take a minute, in which the configuration can change.
    let mut loaded = config::load_machine();
    flannel::apply(subnet.as_ref(), &mut loaded.config);
    let mut accepted = arguments::accepted(&loaded);
    if loaded.config.userdocker.use_tls {
        match tls_server::with_tls(&accepted.words) {
            Ok(with_tls) => accepted.words = with_tls,
            Err(error) => warn(&format!("{error}; the engine runs without TLS")),
        }
    }
    engine_process::run(&accepted, subnet.as_ref(), subnet_written, is_first)
}
