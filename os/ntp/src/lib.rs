//! Keeps the clock right, by asking time servers.
//!
//! A simple client (SNTP, RFC 4330): it asks each of the configured servers, believes the one in the
//! middle, sets a clock that is far off and slows or speeds up one that is not. A machine whose clock
//! was wrong when it was switched on has the right time within seconds of having a network.
//!
//! Not its job: being a time server, or more precise than the network's delay.

mod clock;
mod exchange;

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

/// The first wait after nobody answered; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest of them.
const LONGEST_WAIT: Duration = Duration::from_secs(64);

/// Between two questions to a server that answers: more often is not polite (RFC 4330, section 10).
const INTERVAL: Duration = Duration::from_secs(1024);

/// Runs until it is told to end.
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
    // The first process of a container ignores the signal that ends it unless it asks for it.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let end = SignalFd::new(&signals)?;
    let mut servers = exchange::Servers::new(config::load_machine().config.ntp.servers);
    let mut wait = FIRST_WAIT;
    loop {
        let pause = match servers.offset() {
            _ if servers.is_empty() => PollTimeout::NONE,
            Some(offset) => {
                wait = FIRST_WAIT;
                match clock::correct(offset) {
                    Ok(done) => println!("ntp: {done}"),
                    Err(error) => eprintln!("ntp: the clock cannot be set: {error}"),
                }
                timeout(INTERVAL)
            }
            None => {
                let pause = timeout(wait);
                wait = (wait * 2).min(LONGEST_WAIT);
                pause
            }
        };
        if poll(&mut [PollFd::new(end.as_fd(), PollFlags::POLLIN)], pause)? > 0 {
            return Ok(());
        }
    }
}

fn timeout(wait: Duration) -> PollTimeout {
    PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
}
