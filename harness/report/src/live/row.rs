//! The line of a machine: its trial, which step, for how long, how long that takes, what it waits
//! for.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use events::DurationStats;

/// How often a line moves although nothing happens.
const TICK: Duration = Duration::from_millis(250);

pub(super) struct Row {
    bar: ProgressBar,
    steps: usize,
    step: String,
    waits: String,
}

impl Row {
    pub(super) fn new(bars: &MultiProgress, before: &ProgressBar, trial: &str) -> Self {
        let bar = bars.insert_before(before, ProgressBar::new_spinner());
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {prefix}  {elapsed:>4}  {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(trial.to_owned());
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            steps: 0,
            step: String::new(),
            waits: String::new(),
        }
    }

    pub(super) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    pub(super) fn steps(&mut self, steps: usize) {
        self.steps = steps;
        self.waits.clear();
        self.show();
    }

    pub(super) fn begins(&mut self, step: usize, what: &str, usually: Option<DurationStats>) {
        let usually = usually.map(|usually| {
            let seconds = Duration::from_secs_f64(usually.median.max(1.0).round());
            format!(", usually {}", humantime::format_duration(seconds))
        });
        let usually = usually.unwrap_or_default();
        self.step = match step {
            0 => format!("{what}{usually}"),
            step => format!("{step}/{} {what}{usually}", self.steps),
        };
        self.waits.clear();
        self.bar.reset_elapsed();
        self.show();
    }

    pub(super) fn waits(&mut self, what: &str, seen: &str) {
        let seen = seen.lines().next().unwrap_or_default();
        self.waits = format!("waits for {what}: {seen}");
        self.show();
    }

    fn show(&self) {
        let parts = [&self.step, &self.waits].map(String::as_str);
        let told = parts.iter().filter(|part| !part.is_empty()).copied();
        self.bar.set_message(told.collect::<Vec<_>>().join(" · "));
    }
}
