//! The program `ntp`.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

use crate::{clock, exchange};

/// The delay before the first retry when no server answers; it doubles with each retry.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The maximum delay before a retry.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(64);

/// The interval between two queries of a server that answers; RFC 4330, section 10, discourages shorter
/// ones.
const INTERVAL: Duration = Duration::from_secs(1024);

/// Runs until SIGTERM.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ntp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> nix::Result<()> {
    // The first process of a container ignores SIGTERM unless it handles the signal.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let end = SignalFd::new(&signals)?;
    let mut servers = exchange::Servers::new(config::load_machine().config.ntp.servers);
    let mut retry_delay = FIRST_RETRY_DELAY;
    loop {
        let pause = match servers.offset() {
            _ if servers.is_empty() => PollTimeout::NONE,
            Some(offset) => {
                retry_delay = FIRST_RETRY_DELAY;
                match clock::correct(offset) {
                    Ok(message) => println!("ntp: {message}"),
                    Err(error) => eprintln!("ntp: failed to set the clock: {error}"),
                }
                timeout(INTERVAL)
            }
            None => {
                let pause = timeout(retry_delay);
                retry_delay = (retry_delay * 2).min(MAX_RETRY_DELAY);
                pause
            }
        };
        if poll(&mut [PollFd::new(end.as_fd(), PollFlags::POLLIN)], pause)? > 0 {
            return Ok(());
        }
    }
}

fn timeout(delay: Duration) -> PollTimeout {
    PollTimeout::try_from(delay).unwrap_or(PollTimeout::MAX)
}
