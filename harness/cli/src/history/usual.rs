//! What is usual for the trials of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::file::{Durations, History, Passes};
use super::key;
use crate::scenario::Scenario;

/// Fewer passes than this say nothing about the next.
const ENOUGH: usize = 3;

/// What is usual, by trial; a copy is cheap.
#[derive(Debug, Clone, Default)]
pub struct Usual(Arc<BTreeMap<String, OfTrial>>);

#[derive(Debug, Default)]
struct OfTrial {
    took: Option<f64>,
    /// Before the first step: `boot` or `fork`.
    before: BTreeMap<String, Usually>,
    steps: Vec<Option<Usually>>,
}

/// How long a step takes on this host when it passes, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usually {
    /// In the middle of the last passes.
    pub median: f64,
    /// The longest of them.
    pub longest: f64,
    /// How many they are.
    pub passes: usize,
}

impl Usually {
    fn of(durations: &Durations) -> Option<Self> {
        Some(Self {
            median: durations.median()?,
            longest: durations.longest()?,
            passes: durations.passes(),
        })
    }

    /// Whether it says something about the next time.
    pub fn is_known(&self) -> bool {
        self.passes >= ENOUGH
    }
}

impl fmt::Display for Usually {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, longest, passes) = (self.median, self.longest, self.passes);
        write!(
            f,
            "{median:.1} s ({longest:.1} s at most in the last {passes} passes)"
        )
    }
}

impl Usual {
    /// For trials by name; their history stands under a name that `known_as` makes of it.
    pub fn new<'a>(
        history: &History,
        trials: impl Iterator<Item = (String, String, &'a Scenario)>,
    ) -> Self {
        let known = history.read();
        let of = |(name, known_as, scenario): (String, String, &Scenario)| {
            Some((name, OfTrial::new(known.get(&known_as)?, scenario)))
        };
        Self(Arc::new(trials.filter_map(of).collect()))
    }

    /// How long a trial takes, in seconds.
    pub fn trial(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.took
    }

    /// How long a step takes; step 0 is what is before the first, called `what`.
    pub fn step(&self, trial: &str, step: usize, what: &str) -> Option<Usually> {
        let trial = self.0.get(trial)?;
        match step.checked_sub(1) {
            None => trial.before.get(what).copied(),
            Some(index) => *trial.steps.get(index)?,
        }
    }
}

impl OfTrial {
    fn new(passes: &Passes, scenario: &Scenario) -> Self {
        let of = |key: &String| Usually::of(passes.steps.get(key)?);
        let steps = scenario.steps.iter();
        let before = ["boot", "fork"].map(str::to_owned);
        Self {
            took: passes.took.median(),
            before: before
                .into_iter()
                .filter_map(|what| Some((what.clone(), of(&what)?)))
                .collect(),
            steps: steps.map(|step| of(&key(step))).collect(),
        }
    }
}
