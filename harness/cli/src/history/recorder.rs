//! Hears how long steps take, and adds those of trials that passed to the history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::file::History;
use super::key;
use events::{Event, Listener, What};
use scenario::Scenario;

/// How long steps took by their numbers and, before the first, by what they did.
type Steps = BTreeMap<(usize, String), f64>;
/// By trial.
type Heard = BTreeMap<String, Steps>;

/// Hears how long steps take; a copy hears the same.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Heard>>);

impl Recorder {
    /// Adds a trial that passed to the history, where it is `known_as`.
    pub fn keep(&self, trial: &str, known_as: &str, scenario: &Scenario, history: &History) {
        let Some(heard) = self.lock().remove(trial) else {
            return;
        };
        let (took, steps) = summary(&heard, scenario);
        if let Err(error) = history.add(known_as, took, &steps) {
            eprintln!("warning: how long {trial} took is not remembered: {error}");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of it and step by step. Of steps that do the same it is the longest.
fn summary(heard: &Steps, scenario: &Scenario) -> (f64, BTreeMap<String, f64>) {
    let mut steps = BTreeMap::new();
    let mut whole = 0.0;
    for ((number, what), took) in heard {
        whole += took;
        let key = match number.checked_sub(1) {
            None => Some(what.clone()),
            Some(index) => scenario.steps.get(index).map(key),
        };
        let longest = steps.entry(key.unwrap_or_default()).or_insert(0.0_f64);
        *longest = longest.max(*took);
    }
    (whole, steps)
}

impl Listener for Recorder {
    fn hear(&self, event: &Event) {
        match &event.what {
            What::TrialBegins { trial, .. } => drop(self.lock().remove(trial)),
            What::StepEnds {
                trial,
                step,
                what,
                took,
                fault: None,
            } => {
                let mut heard = self.lock();
                let trial = heard.entry(trial.clone()).or_default();
                if *step == 0 && ["boot", "fork"].contains(&what.as_str()) {
                    // What was before went into a checkpoint, which is there the next time.
                    trial.clear();
                }
                trial.insert((*step, what.clone()), *took);
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

    fn usual(history: &History, scenario: &Scenario) -> Baseline {
        let trial = ("q35::tea".to_owned(), "q35::tea tcg".to_owned(), scenario);
        baseline(history, std::iter::once(trial))
    }

    #[test]
    fn what_was_heard_is_what_is_usual() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history.json"));
        let scenario = scenario(folder.path(), TEA);
        let recorder = Recorder::default();
        let listeners = Listeners::default().with(recorder.clone());
        for (step, what, took) in [
            (0, "boot, for a checkpoint", 30.0),
            (0, "setup of a checkpoint", 5.0),
            (0, "fork", 1.0),
            (1, "one", 2.0),
            (2, "two", 4.0),
            (3, "one", 3.0),
        ] {
            listeners.tell(What::StepEnds {
                trial: "q35::tea".into(),
                step,
                what: what.into(),
                took,
                fault: None,
            });
        }
        recorder.keep("q35::tea", "q35::tea tcg", &scenario, &history);
        let usual = usual(&history, &scenario);
        let close = |got: Option<f64>, wanted: f64| (got.unwrap() - wanted).abs() < 0.01;
        assert!(close(usual.trial("q35::tea"), 10.0));
        let median = |step, what: &str| Some(usual.step("q35::tea", step, what)?.median);
        assert!(close(median(0, "fork"), 1.0) && median(0, "boot").is_none());
        assert!(close(median(1, "one"), 3.0) && close(median(3, "one"), 3.0));
        assert!(!usual.step("q35::tea", 2, "two").unwrap().is_known());
        assert!(usual.step("q35::coffee", 1, "one").is_none());
    }

    #[test]
    fn a_step_that_does_something_else_has_no_history() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path().join("history.json"));
        let before = scenario(folder.path(), TEA);
        let steps = BTreeMap::from([(key(&before.steps[1]), 4.0)]);
        history.add("q35::tea tcg", 5.0, &steps).unwrap();
        let after = scenario(folder.path(), &TEA.replace("two", "other"));
        assert!(usual(&history, &before).step("q35::tea", 2, "").is_some());
        assert!(usual(&history, &after).step("q35::tea", 2, "").is_none());
    }
}
