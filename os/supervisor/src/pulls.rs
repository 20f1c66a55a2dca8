//! Pulls of services' images, which are retried until they succeed or are no longer wanted.

use std::cell::RefCell;
use std::time::Duration;

use config::Service;

/// The first delays before a retry, in seconds: the network may appear late.
const FIRST_DELAYS: [u64; 5] = [2, 5, 10, 30, 60];

/// All later delays: a registry may be unreachable for days.
const LATER_DELAY: Duration = Duration::from_secs(300);

/// The delays before retries, without end.
pub(crate) fn delays() -> impl Iterator<Item = Duration> {
    let first = FIRST_DELAYS.into_iter().map(Duration::from_secs);
    first.chain(std::iter::repeat(LATER_DELAY))
}

/// Limits the messages about a pull that is retried for ever.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    last: String,
    is_silent: bool,
}

impl FailureLog {
    /// The message about a failure, if it differs from the last one; `delay` is the time until the next
    /// attempt.
    pub(crate) fn message(&mut self, failure: &str, delay: Duration) -> Option<String> {
        if self.is_silent || (failure == self.last && delay < LATER_DELAY) {
            return None;
        }
        self.last = failure.into();
        self.is_silent = delay >= LATER_DELAY;
        Some(if self.is_silent {
            let seconds = LATER_DELAY.as_secs();
            format!("{failure}; retrying every {seconds} s from now on")
        } else {
            failure.into()
        })
    }
}

/// The services whose images are being pulled. Each is pulled by one task only, because a task does not
/// end before it succeeds.
#[derive(Debug, Default)]
pub(crate) struct Pulls(RefCell<Vec<(String, Service)>>);

impl Pulls {
    /// Adds a service; returns false if a task pulls it already.
    pub(crate) fn begin(&self, name: &str, service: &Service) -> bool {
        let mut all = self.0.borrow_mut();
        let new = !all
            .iter()
            .any(|(known, one)| known == name && one == service);
        if new {
            all.push((name.into(), service.clone()));
        }
        new
    }

    /// Removes a service.
    pub(crate) fn end(&self, name: &str, service: &Service) {
        let mut all = self.0.borrow_mut();
        all.retain(|(known, one)| known != name || one != service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_never_end() {
        let all: Vec<_> = delays().take(1000).collect();
        assert!(all.is_sorted());
        assert_eq!(all[0], Duration::from_secs(2));
        assert_eq!(all[999], Duration::from_secs(300));
    }

    #[test]
    fn failure_log_prints_a_repeated_failure_once_and_then_goes_silent() {
        let (mut log, mut lines) = (FailureLog::default(), Vec::new());
        // The later failures all differ by a port number.
        for (number, delay) in delays().take(20).enumerate() {
            let failure = format!("no answer, port {}", number.saturating_sub(3));
            lines.extend(log.message(&failure, delay));
        }
        let expected = [
            "no answer, port 0",
            "no answer, port 1",
            "no answer, port 2; retrying every 300 s from now on",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn begin_returns_false_when_the_service_is_being_pulled() {
        let (pulls, mut service) = (Pulls::default(), Service::default());
        assert!(pulls.begin("console", &service));
        assert!(!pulls.begin("console", &service));
        assert!(pulls.begin("other", &service));
        service.image = "another".into();
        assert!(pulls.begin("console", &service));
        pulls.end("console", &service);
        assert!(pulls.begin("console", &service));
        assert!(!pulls.begin("console", &Service::default()));
    }
}
