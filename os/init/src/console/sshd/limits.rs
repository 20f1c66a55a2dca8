//! How many connections may be open that nobody has logged in on, and for how long: as OpenSSH has it
//! (`MaxStartups` 10:30:100, `LoginGraceTime` 120; sshd_config(5)), but that connections are turned away from
//! 30 on: a dozen people, or a dozen `docker` commands, log in at once from behind one address.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

/// How long somebody has to log in.
pub const LOGIN_GRACE: Duration = Duration::from_secs(120);

/// How often it is logged that connections are turned away.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Which connections are turned away: none while fewer than `begin` are open that nobody has logged in
/// on, all from `full` on, and `rate` of a hundred and more in between.
pub struct Startups {
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
    /// Whether one more is turned away; `percent` is drawn from 0 to 99.
    pub fn refuses(&self, open: usize, percent: usize) -> bool {
        if open < self.begin {
            return false;
        }
        if open >= self.full {
            return true;
        }
        let grown = (100 - self.rate) * (open - self.begin) / (self.full - self.begin);
        percent < self.rate + grown
    }
}

impl fmt::Display for Startups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {}:{}:{}", self.begin, self.rate, self.full)
    }
}

/// A number from 0 to 99, each as likely as the others. The standard library's hasher has random keys.
pub fn percent() -> usize {
    let drawn = RandomState::new().build_hasher().finish() % 100;
    usize::try_from(drawn).unwrap_or_default()
}

/// Bounds how often it is logged that connections are turned away: anybody can make it happen.
#[derive(Default)]
pub struct Throttle {
    last: Option<Instant>,
    unsaid: u32,
}

impl Throttle {
    /// The line to log for a connection that is turned away, if it is time for one.
    pub fn line(&mut self, what: &str, now: Instant) -> Option<String> {
        if self.last.is_some_and(|last| now < last + LOG_EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(now);
        let line = match std::mem::take(&mut self.unsaid) {
            0 => format!("turned away {what}"),
            more => format!("turned away {what}; and {more} others since the last line"),
        };
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startups_refuse_more_connections_when_more_are_open() {
        let startups = Startups::default();
        let refused = |open| (0..100).filter(|one| startups.refuses(open, *one)).count();
        assert_eq!(refused(29), 0);
        assert_eq!(refused(30), 30);
        assert_eq!(refused(65), 65);
        assert_eq!(refused(99), 99);
        assert_eq!(refused(100), 100);
    }

    #[test]
    fn throttle_logs_once_a_second_and_counts_the_others() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.line("a", start).as_deref(), Some("turned away a"));
        assert_eq!(throttle.line("b", start), None);
        assert_eq!(throttle.line("c", start), None);
        let line = throttle.line("d", start + LOG_EVERY).unwrap();
        assert_eq!(line, "turned away d; and 2 others since the last line");
        let line = throttle.line("e", start + 2 * LOG_EVERY).unwrap();
        assert_eq!(line, "turned away e");
    }
}
