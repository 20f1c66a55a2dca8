//! The line of a machine: trial, step, elapsed and usual time, and the condition that it waits for.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use events::DurationStats;

/// The interval of updates without an event.
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

    /// Names the machines behind the trial, if there are several.
    pub(super) fn machines(&self, trial: &str, machines: &[String]) {
        if !machines.is_empty() {
            self.bar
                .set_prefix(format!("{trial} ({})", machines.join(", ")));
        }
    }

    pub(super) fn steps(&mut self, steps: usize) {
        self.steps = steps;
        self.waits.clear();
        self.show();
    }

    pub(super) fn begins(&mut self, step: usize, title: &str, usual: Option<DurationStats>) {
        let usual = usual.map(|stats| {
            let seconds = Duration::from_secs_f64(stats.median.max(1.0).round());
            format!(", usually {}", humantime::format_duration(seconds))
        });
        let usual = usual.unwrap_or_default();
        self.step = match step {
            0 => format!("{title}{usual}"),
            step => format!("{step}/{} {title}{usual}", self.steps),
        };
        self.waits.clear();
        self.bar.reset_elapsed();
        self.show();
    }

    pub(super) fn waits(&mut self, condition: &str, seen: &str) {
        let seen = seen.lines().next().unwrap_or_default();
        self.waits = format!("waits for {condition}: {seen}");
        self.show();
    }

    fn show(&self) {
        let parts = [&self.step, &self.waits].map(String::as_str);
        let shown = parts.iter().filter(|part| !part.is_empty()).copied();
        self.bar.set_message(shown.collect::<Vec<_>>().join(" · "));
    }
}
