//! Keeps programs running, however often they end, and reaps every process that is left to it.
//!
//! Used by the keeper beside PID 1, by the console, and by the network, whose programs become others
//! as its interfaces do. It never gives up; a program that ends at once waits longer each time, up to
//! a bound.

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
    /// Where it finds programs by name, as in `PATH`; `None` leaves it that of the keeper.
    pub search: Option<String>,
}

impl Program {
    /// A program whose output stays with that of the keeper.
    pub fn new(path: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|one| (*one).to_owned()).collect();
        Self {
            path: path.into(),
            arguments,
            log: None,
            search: None,
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

    /// The same, finding programs elsewhere.
    #[must_use]
    pub fn searching(self, search: &str) -> Self {
        Self {
            search: Some(search.into()),
            ..self
        }
    }

    /// With no signal blocked, whatever is blocked here: with SIGCHLD blocked dropbear never sees its
    /// sessions end.
    fn start(&self) -> nix::Result<Pid> {
        let mut attributes = PosixSpawnAttr::init()?;
        let flags =
            PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF;
        attributes.set_flags(flags)?;
        attributes.set_sigmask(&SigSet::empty())?;
        // Rust ignores it for itself.
        attributes.set_sigdefault(&SigSet::from_iter([Signal::SIGPIPE]))?;
        let mut files = PosixSpawnFileActions::init()?;
        files.add_open(0, "/dev/null", OFlag::O_RDONLY, Mode::empty())?;
        if let Some(log) = &self.log {
            // One that is too long is better than none.
            let _ = crate::log::turn_over(log);
            let appended = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND;
            files.add_open(1, log, appended, Mode::from_bits_truncate(0o644))?;
            files.add_dup2(1, 2)?;
        }
        let words = std::iter::once(&self.path).chain(&self.arguments);
        let words = words.map(|word| CString::new(word.as_str()));
        let words: Vec<_> = words.collect::<Result<_, _>>().map_err(|_| Errno::EINVAL)?;
        let mut environment: BTreeMap<_, _> = std::env::vars_os().collect();
        if let Some(search) = &self.search {
            environment.insert("PATH".into(), search.into());
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

/// A program, and how it fares.
struct Kept {
    program: Program,
    turn: Turn,
    /// How often it ended at once, since it last did not.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Running { pid: Pid, since: Instant },
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

/// Keeps `programs` running until SIGTERM, which they are then given too.
///
/// # Errors
/// Signals cannot be received: nothing was started.
pub fn keep(programs: Vec<Program>) -> nix::Result<()> {
    keep_wanted(&[], || programs.clone())
}

/// Keeps the programs running that `wanted` names, until SIGTERM, which they are then given too. It is
/// asked at first and whenever one of `changes` is what is waited for there, which it then takes; what
/// it names no more is ended.
///
/// # Errors
/// Signals cannot be received: nothing was started. `changes` cannot be waited for.
pub fn keep_wanted(
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
            become_wanted(&mut all, wanted());
        }
        start_due(&mut all);
        let mut events: Vec<_> = [(received.as_fd(), PollFlags::POLLIN)]
            .iter()
            .chain(changes)
            .map(|(one, what)| PollFd::new(*one, *what))
            .collect();
        match poll(&mut events, until_next(&all)) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(error) => return Err(error),
        }
        changed = events[1..].iter().any(|event| event.any() == Some(true));
        while let Some(signal) = received.read_signal()? {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                all.iter().for_each(Kept::end);
                return Ok(());
            }
        }
        reap(&mut all);
    }
}

impl Kept {
    /// One that has just ended needs no signal.
    fn end(&self) {
        if let Turn::Running { pid, .. } = self.turn {
            let _ = kill(pid, Signal::SIGTERM);
        }
    }
}

/// Ends what is not wanted any more, and has what is new wait for its first start.
fn become_wanted(all: &mut Vec<Kept>, wanted: Vec<Program>) {
    all.retain(|kept| {
        let stays = wanted.contains(&kept.program);
        if !stays {
            kept.end();
        }
        stays
    });
    for program in wanted {
        if !all.iter().any(|kept| kept.program == program) {
            let turn = Turn::Waiting {
                until: Instant::now(),
            };
            all.push(Kept {
                program,
                turn,
                failures: 0,
            });
        }
    }
}

fn start_due(all: &mut [Kept]) {
    let now = Instant::now();
    for kept in all {
        let Turn::Waiting { until } = kept.turn else {
            continue;
        };
        if until > now {
            continue;
        }
        kept.turn = match kept.program.start() {
            Ok(pid) => Turn::Running { pid, since: now },
            Err(error) => {
                eprintln!("{}: {error}", kept.program.path);
                let until = next_start(&mut kept.failures, now, now);
                Turn::Waiting { until }
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
            if let Turn::Running { pid, since } = kept.turn
                && status.pid() == Some(pid)
            {
                let until = next_start(&mut kept.failures, since, Instant::now());
                kept.turn = Turn::Waiting { until };
            }
        }
    }
}

/// Until the next program is due; without one, until a signal comes.
fn until_next(all: &[Kept]) -> PollTimeout {
    let next = all.iter().filter_map(|kept| match kept.turn {
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
