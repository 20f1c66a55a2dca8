//! A run as it goes, on a terminal: a line for each machine, and one for all of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;

use super::summary::{Paint, Summary};
use crate::sink::LineSink;
use events::Baseline;
use events::{Event, Listener, Verdict, What};

mod head;
mod row;

use head::Head;
use row::Row;

/// Draws on stderr; a copy draws on the same.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    bars: MultiProgress,
    to: LineSink,
    usual: Baseline,
    paint: Paint,
    state: Mutex<State>,
}

struct State {
    rows: BTreeMap<String, Row>,
    head: Head,
    summary: Summary,
}

impl Live {
    /// Draws on the terminal of `bars`; the last summary goes to `to`.
    pub fn new(bars: MultiProgress, to: LineSink, usual: Baseline, colour: bool) -> Self {
        let state = State {
            rows: BTreeMap::new(),
            head: Head::new(&bars),
            summary: Summary::default(),
        };
        Self(Arc::new(Inner {
            bars,
            to,
            usual,
            paint: Paint::new(colour),
            state: Mutex::new(state),
        }))
    }

    /// A trial waits for something, and last saw something else.
    pub fn waits(&self, trial: &str, what: &str, seen: &str) {
        let mut state = self.state();
        self.row(&mut state, trial).waits(what, seen);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row<'a>(&self, state: &'a mut State, trial: &str) -> &'a mut Row {
        let State { rows, head, .. } = state;
        let new = || Row::new(&self.0.bars, head.bar(), trial);
        rows.entry(trial.to_owned()).or_insert_with(new)
    }

    fn step_begins(&self, trial: &str, step: usize, what: &str) {
        let usually = self.0.usual.step(trial, step, what);
        let mut state = self.state();
        self.row(&mut state, trial).begins(step, what, usually);
    }

    /// Lines that stay, above those that move.
    fn print(&self, text: &str) {
        // A terminal that is gone shows nothing.
        let _ = self.0.bars.println(text);
    }

    fn ended(&self, trial: &str, verdict: Verdict, took: f64, why: Option<&str>) {
        let mut state = self.state();
        if let Some(row) = state.rows.remove(trial) {
            self.0.bars.remove(row.bar());
        }
        state.head.ended(trial, verdict);
        state.summary.ended(trial, verdict, why);
        drop(state);
        self.print(&self.0.paint.end(trial, verdict, took, why));
    }

    fn run_ends(&self, took: f64) {
        let state = self.state();
        // The lines that move are gone before the last word.
        let _ = self.0.bars.clear();
        (self.0.to)(&state.summary.text(&self.0.paint, took));
    }
}

impl Listener for Live {
    fn hear(&self, event: &Event) {
        match &event.what {
            What::RunBegins { trials, ignored } => {
                let mut state = self.state();
                state.head.begins(trials, &self.0.usual);
                state.summary.begins(ignored);
            }
            What::TrialBegins { trial, steps, .. } => {
                let mut state = self.state();
                state.head.running(trial);
                self.row(&mut state, trial).steps(steps.len());
            }
            What::StepBegins {
                trial, step, what, ..
            } => self.step_begins(trial, *step, what),
            What::AttemptEnds { trial, attempt, .. } => {
                self.print(&self.0.paint.again(trial, *attempt));
            }
            What::Note { trial, text } => {
                let about = trial.as_ref().map(|trial| format!("{trial}: "));
                self.print(&format!("note: {}{text}", about.unwrap_or_default()));
            }
            What::TrialEnds {
                trial,
                verdict,
                took,
                why,
                ..
            } => self.ended(trial, *verdict, *took, why.as_deref()),
            What::RunEnds { took } => self.run_ends(*took),
            What::StepEnds { .. } | What::Boot { .. } | What::Setup { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
