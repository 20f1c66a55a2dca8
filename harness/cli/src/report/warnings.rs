//! What people should know, on stderr, also where the steps are not told.

use events::{Event, Listener, What};

/// Prints each note as a warning.
#[derive(Debug)]
pub struct Warnings;

impl Listener for Warnings {
    fn hear(&self, event: &Event) {
        if let What::Note { trial, text } = &event.what {
            let about = trial.iter().map(|trial| format!("{trial}: "));
            eprintln!("warning: {}{text}", about.collect::<String>());
        }
    }
}
