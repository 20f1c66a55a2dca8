//! Notes of a run as warnings, for runs whose steps are not printed.

use events::{Event, EventKind, Listener};

use crate::sink::LineSink;

/// Prints each note as a warning.
pub struct Warnings(LineSink);

impl Warnings {
    /// Prints to `to`.
    pub fn new(to: LineSink) -> Self {
        Self(to)
    }
}

impl Listener for Warnings {
    fn on_event(&self, event: &Event) {
        if let EventKind::Note { trial, text } = &event.kind {
            let prefix = trial.iter().map(|trial| format!("{trial}: "));
            (self.0)(&format!("warning: {}{text}", prefix.collect::<String>()));
        }
    }
}
