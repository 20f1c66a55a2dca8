//! Keeps programs running, however often they end, and reaps every process that is left to it.
//!
//! Used twice: by the keeper beside PID 1 and by the console. It never gives up; a program that ends
//! at once waits longer each time, up to a bound.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A program that ran this long has not failed to start: it comes back without waiting.
const STEADY: Duration = Duration::from_secs(1);

/// The first wait of a program that ends at once; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// No program stays away longer.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A program to keep running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program's path.
    pub path: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its output goes; `None` leaves it with that of the keeper.
    pub log: Option<PathBuf>,
}

impl Program {
    /// A program whose output stays with that of the keeper.
    pub fn new(path: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        Self {
            path: path.into(),
            arguments,
            log: None,
        }
    }

    /// The same with its output in a file.
    #[must_use]
    pub fn logging_to(self, log: &str) -> Self {
        Self {
            log: Some(log.into()),
            ..self
        }
    }

    fn start(&self) -> std::io::Result<Pid> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stdin(Stdio::null());
        if let Some(path) = &self.log {
            let log = OpenOptions::new().create(true).append(true).open(path)?;
            command.stdout(log.try_clone()?).stderr(log);
        }
        // The process is waited for by its number, with all others.
        #[allow(clippy::zombie_processes, reason = "`reap` waits for every child")]
        let child = command.spawn()?;
        Ok(Pid::from_raw(child.id().cast_signed()))
    }
}

/// How a program fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Running { since: Instant },
    Waiting { until: Instant },
}

/// When a program that ended is started again.
fn next_start(failures: &mut u32, since: Instant, now: Instant) -> Instant {
    if now.duration_since(since) >= STEADY {
        *failures = 0;
        return now;
    }
    let wait = FIRST_WAIT
        .saturating_mul(1 << (*failures).min(10))
        .min(LONGEST_WAIT);
    *failures += 1;
    now + wait
}

/// Keeps `programs` running until SIGTERM, which they are then given too. `changed` is called when
/// they have been started, and again after every end of one.
///
/// # Errors
/// Signals cannot be received: nothing was started.
pub fn keep(programs: &[Program], mut changed: impl FnMut()) -> nix::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let received = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let now = Instant::now();
    let mut turns = vec![(Turn::Waiting { until: now }, 0); programs.len()];
    let mut pids = BTreeMap::new();
    loop {
        // Programs inherit the mask, and with SIGCHLD blocked dropbear never sees its sessions end.
        signals.thread_unblock()?;
        start_due(programs, &mut turns, &mut pids);
        signals.thread_block()?;
        // What ended while nothing was blocked gave no signal.
        reap(&mut turns, &mut pids);
        changed();
        let timeout = until_next(&turns);
        match poll(
            &mut [PollFd::new(received.as_fd(), PollFlags::POLLIN)],
            timeout,
        ) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(error) => return Err(error),
        }
        while let Some(signal) = received.read_signal()? {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                for pid in pids.keys() {
                    // One that has just ended needs no signal.
                    let _ = kill(*pid, Signal::SIGTERM);
                }
                return Ok(());
            }
        }
        reap(&mut turns, &mut pids);
    }
}

type Turns = Vec<(Turn, u32)>;

fn start_due(programs: &[Program], turns: &mut Turns, pids: &mut BTreeMap<Pid, usize>) {
    let now = Instant::now();
    for (number, (turn, failures)) in turns.iter_mut().enumerate() {
        let Turn::Waiting { until } = *turn else {
            continue;
        };
        if until > now {
            continue;
        }
        *turn = match programs[number].start() {
            Ok(pid) => {
                pids.insert(pid, number);
                Turn::Running { since: now }
            }
            Err(error) => {
                eprintln!("{}: {error}", programs[number].path);
                Turn::Waiting {
                    until: next_start(failures, now, now),
                }
            }
        };
    }
}

fn reap(turns: &mut Turns, pids: &mut BTreeMap<Pid, usize>) {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
        let Some(number) = status.pid().and_then(|pid| pids.remove(&pid)) else {
            continue;
        };
        let (turn, failures) = &mut turns[number];
        if let Turn::Running { since } = *turn {
            *turn = Turn::Waiting {
                until: next_start(failures, since, Instant::now()),
            };
        }
    }
}

/// Until the next program is due; without one, until a signal comes.
fn until_next(turns: &Turns) -> PollTimeout {
    let next = turns.iter().filter_map(|(turn, _)| match turn {
        Turn::Waiting { until } => Some(until.saturating_duration_since(Instant::now())),
        Turn::Running { .. } => None,
    });
    // Rounded up, so that the program is due when poll returns.
    next.min().map_or(PollTimeout::NONE, |wait| {
        PollTimeout::try_from(wait.as_millis() + 1).unwrap_or(PollTimeout::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_program_comes_back_at_once() {
        let since = Instant::now();
        let now = since + STEADY;
        let mut failures = 5;
        assert_eq!(next_start(&mut failures, since, now), now);
        assert_eq!(failures, 0);
    }

    #[test]
    fn one_that_ends_at_once_waits_longer_but_never_for_ever() {
        let now = Instant::now();
        let mut failures = 0;
        let waits: Vec<_> = (0..40)
            .map(|_| next_start(&mut failures, now, now) - now)
            .collect();
        assert_eq!(waits[0], FIRST_WAIT);
        assert!(waits.is_sorted());
        assert_eq!(waits[39], LONGEST_WAIT);
    }
}
