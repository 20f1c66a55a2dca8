//! The baseline of a run: the durations of trials and steps on this host in past passes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The number of passes that a prediction needs.
const ENOUGH: usize = 3;

/// The durations of past passes, by trial. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Baseline(Arc<BTreeMap<String, TrialBaseline>>);

/// The durations of one trial's past passes.
#[derive(Debug, Clone, Default)]
pub struct TrialBaseline {
    /// The median of the whole trial, in seconds.
    pub duration: Option<f64>,
    /// The part before the first step, by its title: `boot` or `fork`.
    pub before: BTreeMap<String, DurationStats>,
    /// The steps in their order; `None` for a step without a past pass.
    pub steps: Vec<Option<DurationStats>>,
}

/// The duration of a step in past passes on this host, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DurationStats {
    /// The median of the last passes.
    pub median: f64,
    /// The longest of the last passes.
    pub longest: f64,
    /// The number of passes.
    pub passes: usize,
}

impl DurationStats {
    /// Whether there are enough passes to predict the next one.
    pub fn is_known(&self) -> bool {
        self.passes >= ENOUGH
    }
}

impl fmt::Display for DurationStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, longest, passes) = (self.median, self.longest, self.passes);
        write!(
            f,
            "{median:.1} s ({longest:.1} s at most in the last {passes} passes)"
        )
    }
}

impl Baseline {
    /// The baseline of these trials, by name.
    pub fn new(trials: impl IntoIterator<Item = (String, TrialBaseline)>) -> Self {
        Self(Arc::new(trials.into_iter().collect()))
    }

    /// The median duration of a trial, in seconds.
    pub fn trial(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.duration
    }

    /// The durations of a step. Step 0 is the part before the first step; `title` is its title.
    pub fn step(&self, trial: &str, step: usize, title: &str) -> Option<DurationStats> {
        let trial = self.0.get(trial)?;
        match step.checked_sub(1) {
            None => trial.before.get(title).copied(),
            Some(index) => *trial.steps.get(index)?,
        }
    }
}
