//! How slow this host is, so that deadlines know it.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use regex::Regex;

/// What the measured work takes on the two-core machine where the deadlines were chosen, idle.
const REFERENCE: Duration = Duration::from_millis(5);
/// The measured work: to compile this expression. It is branches, memory and arithmetic, nearly all in
/// crates that the workspace has optimized in every build, as this one is not.
const WORK: &str = r"\w{20}";
/// The best of so many counts, so that one moment of other load does not.
const TRIES: usize = 5;
/// Nothing is believed to be slower than this: a stuck machine must still be found out.
const SLOWEST: f64 = 8.0;

/// A factor for deadlines, at least 1: a fast host is as patient as the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale(f64);

impl Scale {
    /// The host where the deadlines were chosen.
    pub const REFERENCE: Self = Self(1.0);

    /// This host, measured once a process in a few hundredths of a second.
    pub fn of_host() -> Self {
        static MEASURED: OnceLock<Scale> = OnceLock::new();
        *MEASURED.get_or_init(|| Self::from_measurement(measure()))
    }

    fn from_measurement(took: Duration) -> Self {
        Self((took.as_secs_f64() / REFERENCE.as_secs_f64()).clamp(1.0, SLOWEST))
    }

    /// A host that is `factor` times slower than the reference.
    pub fn of_factor(factor: f64) -> Self {
        Self(factor)
    }

    /// The factor.
    pub fn factor(self) -> f64 {
        self.0
    }

    /// A deadline for this host from one for the reference.
    pub fn apply(self, limit: Duration) -> Duration {
        limit.mul_f64(self.0)
    }
}

/// A deadline of so many seconds on the reference, for this host.
pub fn seconds(seconds: u64) -> Duration {
    Scale::of_host().apply(Duration::from_secs(seconds))
}

fn measure() -> Duration {
    (0..TRIES).map(|_| once()).min().unwrap_or(REFERENCE)
}

fn once() -> Duration {
    let begin = Instant::now();
    let _ = black_box(Regex::new(black_box(WORK)));
    begin.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_host_gets_more_time_and_a_fast_one_not_less() {
        let limit = Duration::from_secs(10);
        assert_eq!(Scale::from_measurement(REFERENCE / 2).apply(limit), limit);
        assert_eq!(
            Scale::from_measurement(REFERENCE * 2).apply(limit),
            limit * 2
        );
        assert_eq!(Scale::from_measurement(REFERENCE * 100).factor(), SLOWEST);
    }

    /// In code that is not optimized this host would seem to be several times slower than it is, and all
    /// deadlines would be as much too long.
    #[test]
    fn the_measured_work_is_optimized_in_every_build() {
        let workspace = include_str!("../../../Cargo.toml");
        for library in ["regex-automata", "regex-syntax"] {
            let line = format!("\n{library}.opt-level = 2\n");
            assert!(workspace.contains(&line), "{library}");
        }
    }
}
