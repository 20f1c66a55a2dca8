//! The progress of a run on a terminal: a line for each machine, and one for the whole run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;

use super::summary::{Paint, Summary};
use crate::sink::LineSink;
use events::Baseline;
use events::{Event, EventKind, Listener, Verdict};

mod head;
mod row;

use head::Head;
use row::Row;

/// Draws progress on stderr; clones share the same lines.
#[derive(Clone)]
pub struct ProgressReporter(Arc<Inner>);

struct Inner {
    bars: MultiProgress,
    to: LineSink,
    baseline: Baseline,
    paint: Paint,
    state: Mutex<State>,
}

struct State {
    rows: BTreeMap<String, Row>,
    head: Head,
    summary: Summary,
}

impl ProgressReporter {
    /// Draws on the terminal of `bars`; prints the summary to `to`.
    pub fn new(bars: MultiProgress, to: LineSink, baseline: Baseline, colour: bool) -> Self {
        let state = State {
            rows: BTreeMap::new(),
            head: Head::new(&bars),
            summary: Summary::default(),
        };
        Self(Arc::new(Inner {
            bars,
            to,
            baseline,
            paint: Paint::new(colour),
            state: Mutex::new(state),
        }))
    }

    /// Shows what a trial waits for, and what it saw last.
    pub fn waits(&self, trial: &str, condition: &str, seen: &str) {
        let mut state = self.state();
        self.row(&mut state, trial).waits(condition, seen);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row<'a>(&self, state: &'a mut State, trial: &str) -> &'a mut Row {
        let State { rows, head, .. } = state;
        let new = || Row::new(&self.0.bars, head.bar(), trial);
        rows.entry(trial.to_owned()).or_insert_with(new)
    }

    fn step_begins(&self, trial: &str, step: usize, title: &str) {
        let usual = self.0.baseline.step(trial, step, title);
        let mut state = self.state();
        self.row(&mut state, trial).begins(step, title, usual);
    }

    /// Prints lines that stay, above the progress lines.
    fn print(&self, text: &str) {
        // An error means that the terminal is gone.
        let _ = self.0.bars.println(text);
    }

    fn ended(&self, trial: &str, verdict: Verdict, duration: f64, reason: Option<&str>) {
        let mut state = self.state();
        if let Some(row) = state.rows.remove(trial) {
            self.0.bars.remove(row.bar());
        }
        state.head.ended(trial, verdict);
        state.summary.ended(trial, verdict, reason);
        drop(state);
        self.print(&self.0.paint.end(trial, verdict, duration, reason));
    }

    fn run_ends(&self, duration: f64) {
        let state = self.state();
        // Remove the progress lines before the summary.
        let _ = self.0.bars.clear();
        (self.0.to)(&state.summary.text(&self.0.paint, duration));
    }
}

impl Listener for ProgressReporter {
    fn on_event(&self, event: &Event) {
        match &event.kind {
            EventKind::RunBegins { trials, ignored } => {
                let mut state = self.state();
                state.head.begins(trials, &self.0.baseline);
                state.summary.begins(ignored);
            }
            EventKind::TrialBegins {
                trial,
                steps,
                machines,
                ..
            } => {
                let mut state = self.state();
                state.head.running(trial);
                let row = self.row(&mut state, trial);
                row.machines(trial, machines);
                row.steps(steps.len());
            }
            EventKind::StepBegins {
                trial, step, title, ..
            } => self.step_begins(trial, *step, title),
            EventKind::AttemptEnds { trial, attempt, .. } => {
                self.print(&self.0.paint.again(trial, *attempt));
            }
            EventKind::Note { trial, text } => {
                let prefix = trial.as_ref().map(|trial| format!("{trial}: "));
                self.print(&format!("note: {}{text}", prefix.unwrap_or_default()));
            }
            EventKind::TrialEnds {
                trial,
                verdict,
                duration,
                reason,
                ..
            } => self.ended(trial, *verdict, *duration, reason.as_deref()),
            EventKind::RunEnds { duration } => self.run_ends(*duration),
            EventKind::TrialLeftOut { trial, reason } => {
                self.print(&format!("note: {trial}: {reason}"));
            }
            EventKind::StepEnds { .. } | EventKind::Boot { .. } | EventKind::Setup { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
