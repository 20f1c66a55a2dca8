//! Timeouts. Constants apply to the reference host (two cores, emulated) and are scaled for this host.
//!
//! Recorded durations of a step shorten its timeout, so a hang is detected earlier, or extend it if the
//! step is slow by nature. The margins are wide: a late step is not a failed step.

use std::time::{Duration, Instant};

use events::DurationStats;
use host::speed::HostSpeed;
use scenario::Step;

use super::failure::StepFailure;

/// Converts a duration of the reference host to this host.
pub(crate) fn scaled(duration: Duration) -> Duration {
    HostSpeed::of_host().apply(duration)
}

/// The timeout from power-on until the machine is ready.
pub(crate) const BOOT: Duration = Duration::from_secs(150);
/// The timeout of a login that is not the subject of a step.
pub(crate) const LOGIN: Duration = Duration::from_secs(30);

/// How long a guest may take to become idle before it is saved.
pub(crate) const REST: Duration = Duration::from_secs(10);

/// The timeout for reverting all faults at the end of a trial.
pub(crate) const REVERT: Duration = Duration::from_secs(20);

/// The timeout of a step is this multiple of its longest recorded duration.
const LATE: f64 = 8.0;
/// Recorded durations never shorten a timeout below this fraction.
const SHORTEST: f64 = 1.0 / 3.0;
/// Recorded durations never extend a timeout beyond this multiple.
const LONGEST: f64 = 4.0;
/// The upper bound of [`Slowdown`].
const BUSIEST: f64 = 4.0;

/// The timeout of a step, and how it was computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepTimeout {
    /// The timeout on this host.
    pub(crate) limit: Duration,
    /// The timeout on the reference host: from the scenario file, or the default of the step's kind.
    base: Duration,
    recorded: Option<DurationStats>,
}

impl StepTimeout {
    /// Computes the timeout of a step from its recorded durations. A timeout in the scenario file is scaled
    /// for this host and never exceeded.
    pub(crate) fn of(step: &Step, recorded: Option<DurationStats>, slowdown: Slowdown) -> Self {
        let recorded = recorded.filter(DurationStats::is_known);
        let base = step.limit();
        let here = scaled(base);
        let most = match step.timeout {
            Some(_) => here,
            None => here.mul_f64(LONGEST),
        };
        let late = recorded.map(|stats| Duration::from_secs_f64(stats.longest * LATE));
        let limit = late.map_or(here, |late| late.max(here.mul_f64(SHORTEST)));
        Self {
            limit: limit.mul_f64(slowdown.0).min(most),
            base,
            recorded,
        }
    }

    /// The timeout of a step without recorded durations.
    pub(crate) fn unrecorded(step: &Step) -> Self {
        Self::of(step, None, Slowdown(1.0))
    }

    /// Adds the origin of the timeout and the recorded durations to a failure at the deadline.
    pub(crate) fn explain(&self, failure: StepFailure) -> StepFailure {
        let failure = failure.with("timeout", self.origin(HostSpeed::of_host()));
        match self.recorded {
            Some(stats) => failure.with("it usually takes", stats.to_string()),
            None => failure,
        }
    }
}

impl StepTimeout {
    /// The timeout as a product of the timeout on the reference host and the slowness of this host.
    fn origin(&self, speed: HostSpeed) -> String {
        let product = in_words(self.base, speed);
        let here = speed.apply(self.base);
        match self.limit.as_secs_f64() / here.as_secs_f64() {
            0.99..1.01 => product,
            factor => format!("{product} x {factor:.1} from recorded durations"),
        }
    }
}

/// `5 s x 2.7 for this host`.
pub(crate) fn in_words(limit: Duration, speed: HostSpeed) -> String {
    let factor = speed.factor();
    let limit = (limit.as_secs_f64() * 10.0).round() / 10.0;
    format!("{limit} s x {factor:.1} for this host")
}

/// How much longer than recorded the steps of a trial have taken so far: the speed of a host is measured while
/// it is idle, but it may be busy now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slowdown(f64);

impl Slowdown {
    /// Computes it from the durations of steps in this trial and their recorded durations; at least 1.
    pub(crate) fn of(steps: impl Iterator<Item = (Duration, Option<DurationStats>)>) -> Self {
        let (mut actual, mut expected) = (0.0, 0.0);
        for (duration, recorded) in steps {
            let Some(recorded) = recorded.filter(DurationStats::is_known) else {
                continue;
            };
            actual += duration.as_secs_f64();
            expected += recorded.median;
        }
        // Durations below a second in total are too short to judge by.
        Self(if expected < 1.0 {
            1.0
        } else {
            (actual / expected).clamp(1.0, BUSIEST)
        })
    }
}

/// A point in time by which something must have happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    ends: Instant,
    limit: Duration,
}

impl Deadline {
    /// A deadline this long from now.
    pub(crate) fn within(limit: Duration) -> Self {
        Self {
            ends: Instant::now() + limit,
            limit,
        }
    }

    /// The remaining time.
    pub(crate) fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// The whole time, as passed to [`Deadline::within`].
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenario::Action;

    const IDLE: Slowdown = Slowdown(1.0);

    fn step(timeout: Option<u64>) -> Step {
        Step {
            line: 1,
            name: None,
            timeout: timeout.map(Duration::from_secs),
            action: serde_yaml::from_str("run: make tea")
                .map(Action::Ssh)
                .unwrap(),
        }
    }

    fn recorded(longest: f64, passes: usize) -> Option<DurationStats> {
        Some(DurationStats {
            median: longest / 2.0,
            longest,
            passes,
        })
    }

    /// The timeout in seconds of the reference host, for recorded durations in seconds of the reference host.
    fn limit(timeout: Option<u64>, recorded: Option<DurationStats>, slowdown: Slowdown) -> u64 {
        let slower = scaled(Duration::from_secs(1)).as_secs_f64();
        let here = recorded.map(|stats| DurationStats {
            longest: stats.longest * slower,
            ..stats
        });
        let limit = StepTimeout::of(&step(timeout), here, slowdown).limit;
        let reference = (limit.as_secs_f64() / slower).round();
        Duration::from_secs_f64(reference).as_secs()
    }

    #[test]
    fn recorded_durations_change_a_timeout_within_bounds() {
        assert_eq!(limit(None, None, IDLE), 60);
        // Two passes are too few.
        assert_eq!(limit(None, recorded(1.0, 2), IDLE), 60);
        assert_eq!(limit(None, recorded(1.0, 3), IDLE), 20);
        assert_eq!(limit(None, recorded(5.0, 3), IDLE), 40);
        assert_eq!(limit(None, recorded(25.0, 3), IDLE), 200);
        assert_eq!(limit(None, recorded(100.0, 3), IDLE), 240);
    }

    #[test]
    fn timeout_of_the_file_is_never_exceeded() {
        assert_eq!(limit(Some(30), None, IDLE), 30);
        assert_eq!(limit(Some(30), recorded(1.0, 3), IDLE), 10);
        assert_eq!(limit(Some(30), recorded(100.0, 3), Slowdown(4.0)), 30);
    }

    #[test]
    fn busy_host_extends_a_timeout() {
        assert_eq!(limit(None, None, Slowdown(2.0)), 120);
        assert_eq!(limit(None, recorded(1.0, 3), Slowdown(3.0)), 60);
        let here = Duration::from_secs_f64;
        let known = recorded(8.0, 3);
        let slowdown = |steps: Vec<_>| Slowdown::of(steps.into_iter());
        assert_eq!(slowdown(vec![]), IDLE);
        assert_eq!(slowdown(vec![(here(1.0), known)]), IDLE);
        let twice = slowdown(vec![(here(8.0), known), (here(99.0), None)]);
        assert!((twice.0 - 2.0).abs() < 0.01, "{twice:?}");
        assert_eq!(slowdown(vec![(here(99.0), known)]), Slowdown(BUSIEST));
    }

    #[test]
    fn origin_renders_a_timeout_as_a_product() {
        let speed = HostSpeed::of_factor(2.7);
        let origin = |limit| {
            let timeout = StepTimeout {
                limit,
                base: Duration::from_secs(5),
                recorded: None,
            };
            timeout.origin(speed)
        };
        let written = Duration::from_millis(13_500);
        assert_eq!(origin(written), "5 s x 2.7 for this host");
        assert_eq!(
            origin(written * 2),
            "5 s x 2.7 for this host x 2.0 from recorded durations"
        );
    }

    #[test]
    fn late_step_reports_its_recorded_durations() {
        let explained = |recorded| {
            let timeout = StepTimeout::of(&step(None), recorded, IDLE);
            timeout.explain(StepFailure::new("late")).render()
        };
        let limit = format!(
            "  late\n  timeout: {}",
            in_words(Duration::from_secs(60), HostSpeed::of_host())
        );
        assert_eq!(explained(None), limit);
        assert!(explained(recorded(4.0, 5)).contains("in the last 5 passes"));
    }
}
