//! Notes of a run as warnings, for runs whose steps are not printed.

use events::{Event, Listener, What};

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
    fn hear(&self, event: &Event) {
        if let What::Note { trial, text } = &event.what {
            let about = trial.iter().map(|trial| format!("{trial}: "));
            (self.0)(&format!("warning: {}{text}", about.collect::<String>()));
        }
    }
}
