//! Computes the baseline of a run from the history of this host.

use events::{Baseline, DurationStats, TrialBaseline};

use super::file::{Durations, History, Passes};
use super::key::{BOOT, FORK, key};
use scenario::Scenario;

/// The baseline of trials. Each item is the trial's name, its key in the history, and its scenario.
pub fn baseline<'a>(
    history: &History,
    trials: impl Iterator<Item = (String, String, &'a Scenario)>,
) -> Baseline {
    let known = history.read();
    Baseline::new(trials.filter_map(|(name, history_key, scenario)| {
        Some((name, of_trial(known.get(&history_key)?, scenario)))
    }))
}

fn of_trial(passes: &Passes, scenario: &Scenario) -> TrialBaseline {
    let stats = |key: &str| passes.steps.get(key).and_then(stats);
    let before = [BOOT, FORK].into_iter();
    TrialBaseline {
        duration: passes.duration.median(),
        before: before
            .filter_map(|title| Some((title.to_owned(), stats(title)?)))
            .collect(),
        steps: scenario
            .steps
            .iter()
            .map(|step| stats(&key(step)))
            .collect(),
    }
}

fn stats(durations: &Durations) -> Option<DurationStats> {
    Some(DurationStats {
        median: durations.median()?,
        longest: durations.longest()?,
        passes: durations.passes(),
    })
}
