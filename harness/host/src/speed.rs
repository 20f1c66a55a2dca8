//! The speed of this host, which scales timeouts.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use regex::Regex;

/// The duration of the measured work on the reference: an idle two-core machine, for which timeouts are
/// chosen.
const REFERENCE: Duration = Duration::from_millis(5);
/// The measured work: compiling this expression. It consists of branches, memory accesses and arithmetic,
/// nearly all in crates that the workspace optimizes in every build, unlike this one.
const WORK: &str = r"\w{20}";
/// The number of measurements; the shortest counts, so that brief load of others does not matter.
const TRIES: usize = 5;
/// The largest factor: a stuck machine must still time out.
const SLOWEST: f64 = 8.0;

/// A factor for timeouts, at least 1: a fast host uses the timeouts of the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostSpeed(f64);

impl HostSpeed {
    /// The reference host.
    pub const REFERENCE: Self = Self(1.0);

    /// This host, measured once per process, in a few hundredths of a second.
    pub fn of_host() -> Self {
        static MEASURED: OnceLock<HostSpeed> = OnceLock::new();
        *MEASURED.get_or_init(|| Self::from_measurement(measure()))
    }

    fn from_measurement(elapsed: Duration) -> Self {
        Self((elapsed.as_secs_f64() / REFERENCE.as_secs_f64()).clamp(1.0, SLOWEST))
    }

    /// A host that is `factor` times slower than the reference.
    pub fn of_factor(factor: f64) -> Self {
        Self(factor)
    }

    /// The factor.
    pub fn factor(self) -> f64 {
        self.0
    }

    /// Converts a timeout of the reference to one of this host.
    pub fn apply(self, limit: Duration) -> Duration {
        limit.mul_f64(self.0)
    }
}

/// The timeout on this host for `seconds` on the reference.
pub fn seconds(seconds: u64) -> Duration {
    HostSpeed::of_host().apply(Duration::from_secs(seconds))
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
    fn timeout_is_longer_on_a_slow_host_and_not_shorter_on_a_fast_one() {
        let limit = Duration::from_secs(10);
        assert_eq!(
            HostSpeed::from_measurement(REFERENCE / 2).apply(limit),
            limit
        );
        assert_eq!(
            HostSpeed::from_measurement(REFERENCE * 2).apply(limit),
            limit * 2
        );
        assert_eq!(
            HostSpeed::from_measurement(REFERENCE * 100).factor(),
            SLOWEST
        );
    }

    /// If the measured code were not optimized, the host would seem several times slower, and all timeouts
    /// would be too long by that factor.
    #[test]
    fn measured_crates_are_optimized_in_every_build() {
        let workspace = include_str!("../../../Cargo.toml");
        for library in ["regex-automata", "regex-syntax"] {
            let line = format!("\n{library}.opt-level = 2\n");
            assert!(workspace.contains(&line), "{library}");
        }
    }
}
