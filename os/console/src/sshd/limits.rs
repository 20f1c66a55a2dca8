//! Limits for connections without a login: their number and their time. They are OpenSSH's (`MaxStartups`
//! 10:30:100, `LoginGraceTime` 120; sshd_config(5)), except that rejecting begins at 30 connections: a dozen
//! people, or a dozen `docker` commands, may log in at the same time from behind one address.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

/// The timeout for a login.
pub(crate) const LOGIN_GRACE: Duration = Duration::from_secs(120);

/// The interval between two messages about rejected connections.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Which connections are rejected: none while fewer than `begin` connections have no login, all from `full`
/// on, and in between a share that grows from `rate` percent.
pub(crate) struct Startups {
    begin: usize,
    rate: usize,
    full: usize,
}

impl Default for Startups {
    fn default() -> Self {
        Self {
            begin: 30,
            rate: 30,
            full: 100,
        }
    }
}

impl Startups {
    /// Whether another connection is rejected; `percent` is a random number from 0 to 99.
    pub(crate) fn rejects(&self, pending: usize, percent: usize) -> bool {
        if pending < self.begin {
            return false;
        }
        if pending >= self.full {
            return true;
        }
        let grown = (100 - self.rate) * (pending - self.begin) / (self.full - self.begin);
        percent < self.rate + grown
    }
}

impl fmt::Display for Startups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {}:{}:{}", self.begin, self.rate, self.full)
    }
}

/// A random number from 0 to 99. The standard library's hasher has random keys.
pub(crate) fn percent() -> usize {
    let random = RandomState::new().build_hasher().finish() % 100;
    usize::try_from(random).unwrap_or_default()
}

/// Limits the rate of messages about rejected connections, which any client can cause.
#[derive(Default)]
pub(crate) struct Throttle {
    last: Option<Instant>,
    suppressed: u32,
}

impl Throttle {
    /// The message about a rejected connection; `None` if the last one was logged too recently.
    pub(crate) fn line(&mut self, what: &str, now: Instant) -> Option<String> {
        if self.last.is_some_and(|last| now < last + LOG_INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        let line = match std::mem::take(&mut self.suppressed) {
            0 => format!("rejected {what}"),
            more => format!("rejected {what}; and {more} others since the last message"),
        };
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startups_reject_more_connections_when_more_are_pending() {
        let startups = Startups::default();
        let rejected = |pending| {
            (0..100)
                .filter(|one| startups.rejects(pending, *one))
                .count()
        };
        assert_eq!(rejected(29), 0);
        assert_eq!(rejected(30), 30);
        assert_eq!(rejected(65), 65);
        assert_eq!(rejected(99), 99);
        assert_eq!(rejected(100), 100);
    }

    #[test]
    fn throttle_logs_once_per_interval_and_counts_the_others() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.line("a", start).as_deref(), Some("rejected a"));
        assert_eq!(throttle.line("b", start), None);
        assert_eq!(throttle.line("c", start), None);
        let line = throttle.line("d", start + LOG_INTERVAL).unwrap();
        assert_eq!(line, "rejected d; and 2 others since the last message");
        let line = throttle.line("e", start + 2 * LOG_INTERVAL).unwrap();
        assert_eq!(line, "rejected e");
    }
}
