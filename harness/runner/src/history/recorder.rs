//! Records how long steps take, and adds the durations of passed trials to the history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::file::History;
use super::key::{BOOT, FORK, key};
use events::{Event, EventKind, Listener};
use scenario::Scenario;

/// Durations of steps by number and title. The number is 0 before the first step.
type Steps = BTreeMap<(usize, String), f64>;
/// Steps by trial.
type Recorded = BTreeMap<String, Steps>;

/// Records how long steps take. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Recorded>>);

impl Recorder {
    /// Adds a passed trial to the history under the key `history_key`.
    pub fn keep(&self, trial: &str, history_key: &str, scenario: &Scenario, history: &History) {
        let Some(recorded) = self.lock().remove(trial) else {
            return;
        };
        let (duration, steps) = summary(&recorded, scenario);
        if let Err(error) = history.add(history_key, duration, &steps) {
            log::warn!("cannot record the durations of {trial}: {error}");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The total duration, and the duration of each step by key. Of steps with the same key, the longest counts.
fn summary(recorded: &Steps, scenario: &Scenario) -> (f64, BTreeMap<String, f64>) {
    let mut steps = BTreeMap::new();
    let mut total = 0.0;
    for ((number, title), duration) in recorded {
        total += duration;
        let key = match number.checked_sub(1) {
            None => Some(title.clone()),
            Some(index) => scenario.steps.get(index).map(key),
        };
        let longest = steps.entry(key.unwrap_or_default()).or_insert(0.0_f64);
        *longest = longest.max(*duration);
    }
    (total, steps)
}

impl Listener for Recorder {
    fn on_event(&self, event: &Event) {
        match &event.kind {
            EventKind::TrialBegins { trial, .. } => drop(self.lock().remove(trial)),
            EventKind::StepEnds {
                trial,
                step,
                title,
                duration,
                failure: None,
                ..
            } => {
                let mut recorded = self.lock();
                let trial = recorded.entry(trial.clone()).or_default();
                if *step == 0 && [BOOT, FORK].contains(&title.as_str()) {
                    // Earlier steps created a checkpoint, which exists the next time.
                    trial.clear();
                }
                trial.insert((*step, title.clone()), *duration);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::baseline;
    use super::*;
    use events::Baseline;
    use events::Listeners;

    const TEA: &str = "name: tea\nabout: tea\nsteps:\n  - ssh: { run: one }\n  - ssh: { run: two }\n  - ssh: { run: one }\n";

    fn scenario(folder: &std::path::Path, text: &str) -> Scenario {
        let file = folder.join("tea.yaml");
        std::fs::write(&file, text).unwrap();
        let known = scenario::Known {
            profiles: vec!["q35".into()],
            setups: scenario::Setups::default(),
        };
        scenario::load(&file, &known).unwrap()
    }

    fn baseline_of(history: &History, scenario: &Scenario) -> Baseline {
        let trial = ("q35::tea".to_owned(), "q35::tea tcg".to_owned(), scenario);
        baseline(history, std::iter::once(trial))
    }

    #[test]
    fn recorder_turns_events_into_a_baseline() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history.json"));
        let scenario = scenario(folder.path(), TEA);
        let recorder = Recorder::default();
        let listeners = Listeners::default().with(recorder.clone());
        for (step, title, duration) in [
            (0, "boot, for a checkpoint", 30.0),
            (0, "setup of a checkpoint", 5.0),
            (0, "fork", 1.0),
            (1, "one", 2.0),
            (2, "two", 4.0),
            (3, "one", 3.0),
        ] {
            listeners.emit(EventKind::StepEnds {
                trial: "q35::tea".into(),
                step,
                title: title.into(),
                duration,
                failure: None,
                failed_on: None,
            });
        }
        recorder.keep("q35::tea", "q35::tea tcg", &scenario, &history);
        let baseline = baseline_of(&history, &scenario);
        let close = |got: Option<f64>, wanted: f64| (got.unwrap() - wanted).abs() < 0.01;
        assert!(close(baseline.trial("q35::tea"), 10.0));
        let median = |step, title: &str| Some(baseline.step("q35::tea", step, title)?.median);
        assert!(close(median(0, "fork"), 1.0) && median(0, "boot").is_none());
        assert!(close(median(1, "one"), 3.0) && close(median(3, "one"), 3.0));
        assert!(!baseline.step("q35::tea", 2, "two").unwrap().is_known());
        assert!(baseline.step("q35::coffee", 1, "one").is_none());
    }

    #[test]
    fn baseline_forgets_a_step_whose_action_changed() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history.json"));
        let before = scenario(folder.path(), TEA);
        let steps = BTreeMap::from([(key(&before.steps[1]), 4.0)]);
        history.add("q35::tea tcg", 5.0, &steps).unwrap();
        let after = scenario(folder.path(), &TEA.replace("two", "other"));
        assert!(
            baseline_of(&history, &before)
                .step("q35::tea", 2, "")
                .is_some()
        );
        assert!(
            baseline_of(&history, &after)
                .step("q35::tea", 2, "")
                .is_none()
        );
    }
}
