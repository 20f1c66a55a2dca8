//! What is being pulled: until it is there, or nobody wants it any more.

use std::cell::RefCell;
use std::time::Duration;

use config::Service;

/// The first waits before a pull is tried again, in seconds: the network may come late.
const FIRST: [u64; 5] = [2, 5, 10, 30, 60];

/// All that follow: a registry may be away for days.
const LATER: Duration = Duration::from_secs(300);

/// How long to wait before each time that a pull is tried again.
pub fn waits() -> impl Iterator<Item = Duration> {
    let first = FIRST.into_iter().map(Duration::from_secs);
    first.chain(std::iter::repeat(LATER))
}

/// What was told of the failures of a pull, which is tried for ever and must not fill the console.
#[derive(Debug, Default)]
pub struct Told {
    last: String,
    all: bool,
}

impl Told {
    /// What is to be told of a failure, if there is something new in it; `wait` is how long it
    /// takes until the next one.
    pub fn of(&mut self, failure: &str, wait: Duration) -> Option<String> {
        if self.all || (failure == self.last && wait < LATER) {
            return None;
        }
        self.last = failure.into();
        self.all = wait >= LATER;
        Some(match self.all {
            true => format!(
                "{failure}; from now on it is tried every {} s",
                LATER.as_secs()
            ),
            false => failure.into(),
        })
    }
}

/// The services whose images are being pulled, by name and as they are to be: each by one task
/// only, for none of them ends by itself.
#[derive(Debug, Default)]
pub struct Pulls(RefCell<Vec<(String, Service)>>);

impl Pulls {
    /// Notes that somebody pulls a service; whether nobody did so far.
    pub fn begin(&self, name: &str, service: &Service) -> bool {
        let mut all = self.0.borrow_mut();
        let new = !all.iter().any(|(of, what)| of == name && what == service);
        if new {
            all.push((name.into(), service.clone()));
        }
        new
    }

    /// Notes that nobody does any more.
    pub fn end(&self, name: &str, service: &Service) {
        let mut all = self.0.borrow_mut();
        all.retain(|(of, what)| of != name || what != service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_never_given_up() {
        let all: Vec<_> = waits().take(1000).collect();
        assert!(all.is_sorted());
        assert_eq!(all[0], Duration::from_secs(2));
        assert_eq!(all[999], Duration::from_secs(300));
    }

    #[test]
    fn the_same_failure_is_told_once_and_in_the_end_none() {
        let (mut told, mut lines) = (Told::default(), Vec::new());
        // No two of the later ones are the same: a port is named.
        for (number, wait) in waits().take(20).enumerate() {
            let failure = format!("no answer, port {}", number.saturating_sub(3));
            lines.extend(told.of(&failure, wait));
        }
        let wanted = [
            "no answer, port 0",
            "no answer, port 1",
            "no answer, port 2; from now on it is tried every 300 s",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn each_service_is_pulled_by_one_task() {
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
