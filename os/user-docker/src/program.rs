//! The steps until the engine runs.

use std::process::ExitCode;

use crate::report::warn;
use crate::{arguments, engine_process, network, tls_server};

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
    // Read again: both waits may take a minute, in which the configuration can change.
    let loaded = config::load_machine();
    let mut accepted = arguments::accepted(&loaded);
    if loaded.config.userdocker.use_tls {
        match tls_server::with_tls(&accepted.words) {
            Ok(with_tls) => accepted.words = with_tls,
            Err(error) => warn(&format!("{error}; the engine runs without TLS")),
        }
    }
    match engine_process::run(&accepted) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}: {error}", engines::PROGRAM);
            ExitCode::FAILURE
        }
    }
}
