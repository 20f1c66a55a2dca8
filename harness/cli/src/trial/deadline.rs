//! How long things may take: on the reference host (two cores, emulated), then on this one.
//!
//! Where it is known what a step usually takes, one that hangs is found out sooner, and one that
//! takes long by nature is waited for. Only ever by a lot: a late step is no wrong step.

use std::time::{Duration, Instant};

use events::DurationStats;
use host::speed::Scale;
use scenario::{Action, Step};

use super::fault::Fault;
use super::scaled;

/// From power-on until the machine is ready.
pub const BOOT: Duration = Duration::from_secs(150);
/// From a login to its verdict, where a step is not about it.
pub const LOGIN: Duration = Duration::from_secs(30);

/// For a guest to come to rest before it is saved.
pub const REST: Duration = Duration::from_secs(10);

/// To mend at the end what the steps broke.
pub const MEND: Duration = Duration::from_secs(20);

/// A step is late at so many times the longest that it took of late.
const LATE: f64 = 8.0;
/// What is usual never makes a limit shorter than this part of it.
const SHORTEST: f64 = 1.0 / 3.0;
/// And never longer than so many times.
const LONGEST: f64 = 4.0;
/// This host is never believed to be busier than this.
const BUSIEST: f64 = 4.0;

/// How long a step may take where nothing is written and nothing known.
fn of_kind(action: &Action) -> Duration {
    let seconds = match action {
        Action::Events(_) | Action::Hotplug(_) | Action::TimeServer(_) | Action::NameServer(_) => {
            15
        }
        Action::Ssh(_) | Action::Serial(_) => 60,
        Action::WaitFor(step) => 90 + step.silence.map_or(0, |span| span.0.as_secs()),
        Action::Docker(_) | Action::Client(_) => 90,
        Action::Reboot(_) | Action::PowerCut(_) => 240,
        Action::Fault(fault) => return fault.limit(),
    };
    Duration::from_secs(seconds)
}

/// How long a step is waited for, and why.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// On this host.
    pub limit: Duration,
    /// On the reference host, as the file or the kind of the step has it.
    base: Duration,
    usually: Option<DurationStats>,
}

impl Patience {
    /// By what the file says, which is scaled for this host and then never exceeded, or else by the
    /// kind of the step; and by what it usually takes, where that is known.
    pub fn of(step: &Step, usually: Option<DurationStats>, pace: Pace) -> Self {
        let usually = usually.filter(DurationStats::is_known);
        let base = step.timeout.unwrap_or_else(|| of_kind(&step.action));
        let here = scaled(base);
        let most = match step.timeout {
            Some(_) => here,
            None => here.mul_f64(LONGEST),
        };
        let late = usually.map(|usually| Duration::from_secs_f64(usually.longest * LATE));
        let limit = late.map_or(here, |late| late.max(here.mul_f64(SHORTEST)));
        Self {
            limit: limit.mul_f64(pace.0).min(most),
            base,
            usually,
        }
    }

    /// For a step of which nothing is known.
    pub fn with(step: &Step) -> Self {
        Self::of(step, None, Pace(1.0))
    }

    /// A fault at the deadline, with where the deadline came from and what is usual.
    pub fn told(&self, fault: Fault) -> Fault {
        let fault = fault.with("timeout", self.origin(Scale::of_host()));
        match self.usually {
            Some(usually) => fault.with("it usually takes", usually.to_string()),
            None => fault,
        }
    }
}

impl Patience {
    /// The deadline as a product: that of the reference host, and how much slower this host is.
    fn origin(&self, scale: Scale) -> String {
        let product = in_words(self.base, scale);
        let here = scale.apply(self.base);
        match self.limit.as_secs_f64() / here.as_secs_f64() {
            0.99..1.01 => product,
            by => format!("{product} x {by:.1} for what is usual"),
        }
    }
}

/// `5 s x 2.7 for this host`.
pub(super) fn in_words(limit: Duration, scale: Scale) -> String {
    let factor = scale.factor();
    let limit = (limit.as_secs_f64() * 10.0).round() / 10.0;
    format!("{limit} s x {factor:.1} for this host")
}

/// How much longer than usual the steps of a trial have taken so far: a host that was measured when
/// it was idle may be busy now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(f64);

impl Pace {
    /// By what steps took here, and what they usually take; at least 1.
    pub fn of(steps: impl Iterator<Item = (Duration, Option<DurationStats>)>) -> Self {
        let (mut took, mut usual) = (0.0, 0.0);
        for (here, usually) in steps {
            let Some(usually) = usually.filter(DurationStats::is_known) else {
                continue;
            };
            took += here.as_secs_f64();
            usual += usually.median;
        }
        // Of nothing, or next to it, nothing follows.
        Self(if usual < 1.0 {
            1.0
        } else {
            (took / usual).clamp(1.0, BUSIEST)
        })
    }
}

/// A moment by which something must have happened.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    ends: Instant,
    limit: Duration,
}

impl Deadline {
    /// So long from now on.
    pub fn within(limit: Duration) -> Self {
        Self {
            ends: Instant::now() + limit,
            limit,
        }
    }

    /// What is left of it.
    pub fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// What was left at its beginning.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Pace = Pace(1.0);

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

    fn usually(longest: f64, passes: usize) -> Option<DurationStats> {
        Some(DurationStats {
            median: longest / 2.0,
            longest,
            passes,
        })
    }

    /// Of the reference host, on which a step's longest was so many of its seconds.
    fn limit(timeout: Option<u64>, usually: Option<DurationStats>, pace: Pace) -> u64 {
        let slower = scaled(Duration::from_secs(1)).as_secs_f64();
        let here = usually.map(|usually| DurationStats {
            longest: usually.longest * slower,
            ..usually
        });
        let limit = Patience::of(&step(timeout), here, pace).limit;
        let reference = (limit.as_secs_f64() / slower).round();
        Duration::from_secs_f64(reference).as_secs()
    }

    #[test]
    fn what_is_usual_changes_a_limit_within_bounds() {
        assert_eq!(limit(None, None, IDLE), 60);
        // A few passes say nothing.
        assert_eq!(limit(None, usually(1.0, 2), IDLE), 60);
        assert_eq!(limit(None, usually(1.0, 3), IDLE), 20);
        assert_eq!(limit(None, usually(5.0, 3), IDLE), 40);
        assert_eq!(limit(None, usually(25.0, 3), IDLE), 200);
        assert_eq!(limit(None, usually(100.0, 3), IDLE), 240);
    }

    #[test]
    fn what_is_written_is_never_exceeded() {
        assert_eq!(limit(Some(30), None, IDLE), 30);
        assert_eq!(limit(Some(30), usually(1.0, 3), IDLE), 10);
        assert_eq!(limit(Some(30), usually(100.0, 3), Pace(4.0)), 30);
    }

    #[test]
    fn a_busy_host_is_given_more_time() {
        assert_eq!(limit(None, None, Pace(2.0)), 120);
        assert_eq!(limit(None, usually(1.0, 3), Pace(3.0)), 60);
        let here = Duration::from_secs_f64;
        let known = usually(8.0, 3);
        let pace = |steps: Vec<_>| Pace::of(steps.into_iter());
        assert_eq!(pace(vec![]), IDLE);
        assert_eq!(pace(vec![(here(1.0), known)]), IDLE);
        let twice = pace(vec![(here(8.0), known), (here(99.0), None)]);
        assert!((twice.0 - 2.0).abs() < 0.01, "{twice:?}");
        assert_eq!(pace(vec![(here(99.0), known)]), Pace(BUSIEST));
    }

    #[test]
    fn a_deadline_is_told_as_a_product() {
        let scale = Scale::of_factor(2.7);
        let told = |limit| {
            let patience = Patience {
                limit,
                base: Duration::from_secs(5),
                usually: None,
            };
            patience.origin(scale)
        };
        let written = Duration::from_millis(13_500);
        assert_eq!(told(written), "5 s x 2.7 for this host");
        assert_eq!(
            told(written * 2),
            "5 s x 2.7 for this host x 2.0 for what is usual"
        );
    }

    #[test]
    fn a_late_step_says_what_is_usual() {
        let told = |usually| {
            let patience = Patience::of(&step(None), usually, IDLE);
            patience.told(Fault::new("late")).render()
        };
        let limit = format!(
            "  late\n  timeout: {}",
            in_words(Duration::from_secs(60), Scale::of_host())
        );
        assert_eq!(told(None), limit);
        assert!(told(usually(4.0, 5)).contains("in the last 5 passes"));
    }
}
