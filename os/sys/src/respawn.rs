//! Keeps programs running: restarts them when they exit, and reaps every orphan that this process
//! inherits.
//!
//! The keeper beside PID 1, the console and the network service use it; the programs of the network
//! service change with its interfaces. It never gives up: a program that exits at once is restarted after
//! a delay that doubles each time, up to a limit.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::poll_timeout;

/// A program that ran this long has started successfully: it is restarted without a delay.
const STEADY_AFTER: Duration = Duration::from_secs(1);

/// The first delay after a program that exited at once; doubled each time.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest delay before a restart.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// A program to keep running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program's path.
    pub path: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The file for its output; `None` inherits the output of this process.
    pub log: Option<PathBuf>,
    /// Its `PATH`; `None` inherits that of this process.
    pub search_path: Option<String>,
}

impl Program {
    /// A program that inherits output and `PATH` of this process.
    pub fn new(path: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        Self {
            path: path.into(),
            arguments,
            log: None,
            search_path: None,
        }
    }

    /// The same program with its output appended to a file.
    #[must_use]
    pub fn with_log(self, log: &str) -> Self {
        Self {
            log: Some(log.into()),
            ..self
        }
    }

    /// The same program with another `PATH`.
    #[must_use]
    pub fn with_search_path(self, path: &str) -> Self {
        Self {
            search_path: Some(path.into()),
            ..self
        }
    }

    /// Starts the program with no signal blocked, whichever this process blocks: with SIGCHLD blocked,
    /// dropbear never notices the end of its sessions.
    fn start(&self) -> nix::Result<Pid> {
        let mut attributes = PosixSpawnAttr::init()?;
        let flags =
            PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF;
        attributes.set_flags(flags)?;
        attributes.set_sigmask(&SigSet::empty())?;
        // Rust's runtime ignores SIGPIPE.
        attributes.set_sigdefault(&SigSet::from_iter([Signal::SIGPIPE]))?;
        let mut files = PosixSpawnFileActions::init()?;
        files.add_open(0, "/dev/null", OFlag::O_RDONLY, Mode::empty())?;
        if let Some(log) = &self.log {
            // A log that is too long is better than no log.
            let _ = crate::log::rotate(log);
            let appended = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND;
            files.add_open(1, log, appended, Mode::from_bits_truncate(0o644))?;
            files.add_dup2(1, 2)?;
        }
        let words = std::iter::once(&self.path).chain(&self.arguments);
        let words = words.map(|word| CString::new(word.as_str()));
        let words: Vec<_> = words.collect::<Result<_, _>>().map_err(|_| Errno::EINVAL)?;
        let mut environment: BTreeMap<_, _> = std::env::vars_os().collect();
        if let Some(path) = &self.search_path {
            environment.insert("PATH".into(), path.into());
        }
        let environment = environment.iter().filter_map(|(name, value)| {
            let both = [name.as_bytes(), b"=", value.as_bytes()].concat();
            CString::new(both).ok()
        });
        let environment: Vec<_> = environment.collect();
        posix_spawn(
            self.path.as_str(),
            &files,
            &attributes,
            &words,
            &environment,
        )
    }
}

/// A program that is kept running, and its state.
struct Kept {
    program: Program,
    state: State,
    /// How often in a row it exited at once.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running { pid: Pid, since: Instant },
    Waiting { until: Instant },
}

/// When a program that exited is started again.
fn next_start(failures: &mut u32, since: Instant, now: Instant) -> Instant {
    if now.duration_since(since) >= STEADY_AFTER {
        *failures = 0;
        return now;
    }
    let delay = FIRST_DELAY
        .saturating_mul(1 << (*failures).min(10))
        .min(MAX_DELAY);
    *failures += 1;
    now + delay
}

/// Keeps programs running until this process gets SIGTERM, which it forwards to them.
///
/// # Errors
/// This process cannot receive signals; no program was started.
pub fn keep_running(programs: Vec<Program>) -> nix::Result<()> {
    keep_running_with(&[], || programs.clone())
}

/// Keeps the programs running that `wanted` returns, until this process gets SIGTERM, which it forwards
/// to them. Calls `wanted` at the start and whenever one of `changes` has an event, which `wanted` must
/// consume. A program that `wanted` no longer returns gets SIGTERM.
///
/// # Errors
/// This process cannot receive signals, and no program was started; or poll(2) fails.
pub fn keep_running_with(
    changes: &[(BorrowedFd<'_>, PollFlags)],
    mut wanted: impl FnMut() -> Vec<Program>,
) -> nix::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let received = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let mut all = Vec::new();
    let mut changed = true;
    loop {
        if changed {
            update(&mut all, wanted());
        }
        start_due(&mut all);
        let mut events: Vec<_> = [(received.as_fd(), PollFlags::POLLIN)]
            .iter()
            .chain(changes)
            .map(|(fd, events)| PollFd::new(*fd, *events))
            .collect();
        match poll(&mut events, until_next(&all)) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(error) => return Err(error),
        }
        changed = events[1..].iter().any(|event| event.any() == Some(true));
        while let Some(signal) = received.read_signal()? {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                all.iter().for_each(Kept::terminate);
                return Ok(());
            }
        }
        reap(&mut all);
    }
}

impl Kept {
    /// Sends SIGTERM; it fails if the program has just exited.
    fn terminate(&self) {
        if let State::Running { pid, .. } = self.state {
            let _ = kill(pid, Signal::SIGTERM);
        }
    }
}

/// Terminates programs that are no longer wanted, and adds new ones, due at once.
fn update(all: &mut Vec<Kept>, wanted: Vec<Program>) {
    all.retain(|kept| {
        let stays = wanted.contains(&kept.program);
        if !stays {
            kept.terminate();
        }
        stays
    });
    for program in wanted {
        if !all.iter().any(|kept| kept.program == program) {
            let state = State::Waiting {
                until: Instant::now(),
            };
            all.push(Kept {
                program,
                state,
                failures: 0,
            });
        }
    }
}

fn start_due(all: &mut [Kept]) {
    let now = Instant::now();
    for kept in all {
        let State::Waiting { until } = kept.state else {
            continue;
        };
        if until > now {
            continue;
        }
        kept.state = match kept.program.start() {
            Ok(pid) => State::Running { pid, since: now },
            Err(error) => {
                eprintln!("{}: {error}", kept.program.path);
                let until = next_start(&mut kept.failures, now, now);
                State::Waiting { until }
            }
        };
    }
}

fn reap(all: &mut [Kept]) {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
        for kept in &mut *all {
            if let State::Running { pid, since } = kept.state
                && status.pid() == Some(pid)
            {
                let until = next_start(&mut kept.failures, since, Instant::now());
                kept.state = State::Waiting { until };
            }
        }
    }
}

/// The time until the next program is due; no timeout if none is waiting.
fn until_next(all: &[Kept]) -> PollTimeout {
    let next = all.iter().filter_map(|kept| match kept.state {
        State::Waiting { until } => Some(until.saturating_duration_since(Instant::now())),
        State::Running { .. } => None,
    });
    next.min().map_or(PollTimeout::NONE, poll_timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_restarts_without_delay_when_it_was_steady() {
        let since = Instant::now();
        let now = since + STEADY_AFTER;
        let mut failures = 5;
        assert_eq!(next_start(&mut failures, since, now), now);
        assert_eq!(failures, 0);
    }

    #[test]
    fn delay_grows_up_to_the_limit_when_a_program_exits_at_once() {
        let now = Instant::now();
        let mut failures = 0;
        let delays: Vec<_> = (0..40)
            .map(|_| next_start(&mut failures, now, now) - now)
            .collect();
        assert_eq!(delays[0], FIRST_DELAY);
        assert!(delays.is_sorted());
        assert_eq!(delays[39], MAX_DELAY);
    }
}
