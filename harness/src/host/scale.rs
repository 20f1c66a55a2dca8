//! How slow this host is, so that deadlines know it.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What the measured work takes on the two-core machine where the deadlines were chosen.
const REFERENCE: Duration = Duration::from_millis(16);
/// Rounds of that work.
const ROUNDS: u64 = 8_000_000;
/// Nothing is believed to be slower than this: a stuck machine must still be found out.
const SLOWEST: f64 = 8.0;

/// A factor for deadlines, at least 1: a fast host is as patient as the reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale(f64);

impl Scale {
    /// This host, measured once a process in a few hundredths of a second.
    pub fn of_host() -> Self {
        static MEASURED: OnceLock<Scale> = OnceLock::new();
        *MEASURED.get_or_init(|| Self::from_measurement(measure()))
    }

    fn from_measurement(took: Duration) -> Self {
        Self((took.as_secs_f64() / REFERENCE.as_secs_f64()).clamp(1.0, SLOWEST))
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

/// The best of three, so that one moment of other load does not count.
fn measure() -> Duration {
    (0..3).map(|_| once()).min().unwrap_or(REFERENCE)
}

/// A chain of multiplications: bound by the processor, not by memory or the compiler's wit.
fn once() -> Duration {
    let begin = Instant::now();
    let mut word = black_box(1_u64);
    for round in 0..ROUNDS {
        word = (word ^ round).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    }
    black_box(word);
    begin.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_host_gets_more_time_and_a_fast_one_not_less() {
        let limit = Duration::from_secs(10);
        assert_eq!(Scale::from_measurement(REFERENCE / 2).apply(limit), limit);
        assert_eq!(Scale::from_measurement(REFERENCE * 2).apply(limit), limit * 2);
        assert_eq!(Scale::from_measurement(REFERENCE * 100).factor(), SLOWEST);
    }
}
