//! The line about all of a run: what is done, what runs, how long the rest may take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use events::Baseline;
use events::Verdict;

pub(super) struct Head {
    bar: ProgressBar,
    total: usize,
    done: usize,
    bad: usize,
    running: BTreeSet<String>,
    /// At most so many ran at a time.
    abreast: usize,
    /// What is not done, with its usual seconds where they are known.
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
            bad: 0,
            running: BTreeSet::new(),
            abreast: 1,
            rest: BTreeMap::new(),
        }
    }

    pub(super) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    pub(super) fn begins(&mut self, trials: &[String], usual: &Baseline) {
        self.total = trials.len();
        let took = |name: &String| (name.clone(), usual.trial(name));
        self.rest = trials.iter().map(took).collect();
        self.bar.reset_elapsed();
        self.bar.enable_steady_tick(Duration::from_secs(1));
        self.show();
    }

    pub(super) fn running(&mut self, trial: &str) {
        self.running.insert(trial.to_owned());
        self.abreast = self.abreast.max(self.running.len());
        self.show();
    }

    pub(super) fn ended(&mut self, trial: &str, verdict: Verdict) {
        self.running.remove(trial);
        self.rest.remove(trial);
        self.done += 1;
        let bad = matches!(verdict, Verdict::Red | Verdict::NoVerdict | Verdict::Flaky);
        self.bad += usize::from(bad);
        self.show();
    }

    fn show(&self) {
        self.bar.set_message(self.text());
    }

    pub(super) fn text(&self) -> String {
        let (done, total, running) = (self.done, self.total, self.running.len());
        let bad = match self.bad {
            0 => String::new(),
            bad => format!(", {bad} not passed"),
        };
        let left = self.left().map(|left| {
            let left = humantime::format_duration(left);
            format!(", the rest usually takes {left}")
        });
        let left = left.unwrap_or_default();
        format!("{done} of {total} done{bad}, {running} running{left}")
    }

    /// By what is known of at least half of it.
    fn left(&self) -> Option<Duration> {
        let known: Vec<f64> = self.rest.values().flatten().copied().collect();
        if known.is_empty() || known.len() * 2 < self.rest.len() {
            return None;
        }
        let count = |number: usize| u32::try_from(number).map_or(f64::MAX, f64::from);
        let mean = known.iter().sum::<f64>() / count(known.len());
        let work = mean * count(self.rest.len());
        Some(Duration::from_secs_f64(
            (work / count(self.abreast)).round(),
        ))
    }
}
