//! The line of the whole run: finished and running trials, and the estimated remaining time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use events::Baseline;
use events::Verdict;

pub(super) struct Head {
    bar: ProgressBar,
    total: usize,
    done: usize,
    not_passed: usize,
    running: BTreeSet<String>,
    /// The highest number of trials that ran at the same time.
    parallel: usize,
    /// The trials that have not ended, with their usual duration in seconds if it is known.
    rest: BTreeMap<String, Option<f64>>,
}

impl Head {
    pub(super) fn new(bars: &MultiProgress) -> Self {
        let bar = bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise}  {wide_msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            total: 0,
            done: 0,
            not_passed: 0,
            running: BTreeSet::new(),
            parallel: 1,
            rest: BTreeMap::new(),
        }
    }

    pub(super) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    pub(super) fn begins(&mut self, trials: &[String], baseline: &Baseline) {
        self.total = trials.len();
        let estimate = |name: &String| (name.clone(), baseline.trial(name));
        self.rest = trials.iter().map(estimate).collect();
        self.bar.reset_elapsed();
        self.bar.enable_steady_tick(Duration::from_secs(1));
        self.show();
    }

    pub(super) fn running(&mut self, trial: &str) {
        self.running.insert(trial.to_owned());
        self.parallel = self.parallel.max(self.running.len());
        self.show();
    }

    pub(super) fn ended(&mut self, trial: &str, verdict: Verdict) {
        self.running.remove(trial);
        self.rest.remove(trial);
        self.done += 1;
        let not_passed = matches!(verdict, Verdict::Failed | Verdict::Error | Verdict::Flaky);
        self.not_passed += usize::from(not_passed);
        self.show();
    }

    fn show(&self) {
        self.bar.set_message(self.text());
    }

    pub(super) fn text(&self) -> String {
        let (done, total, running) = (self.done, self.total, self.running.len());
        let not_passed = match self.not_passed {
            0 => String::new(),
            count => format!(", {count} not passed"),
        };
        let left = self.left().map(|left| {
            let left = humantime::format_duration(left);
            format!(", the rest usually takes {left}")
        });
        let left = left.unwrap_or_default();
        format!("{done} of {total} done{not_passed}, {running} running{left}")
    }

    /// The estimated remaining time; `None` if fewer than half of the durations are known.
    fn left(&self) -> Option<Duration> {
        let known: Vec<f64> = self.rest.values().flatten().copied().collect();
        if known.is_empty() || known.len() * 2 < self.rest.len() {
            return None;
        }
        let count = |number: usize| u32::try_from(number).map_or(f64::MAX, f64::from);
        let mean = known.iter().sum::<f64>() / count(known.len());
        let work = mean * count(self.rest.len());
        Some(Duration::from_secs_f64(
            (work / count(self.parallel)).round(),
        ))
    }
}
