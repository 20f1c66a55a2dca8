//! The steps of a run as lines of text.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::sink::LineSink;
use events::{Event, EventKind, Listener};

/// Prints each step of each trial.
pub struct TextReporter {
    to: LineSink,
    colour: bool,
    /// The start of each trial, in seconds since 1970.
    starts: Mutex<BTreeMap<String, f64>>,
}

impl TextReporter {
    /// Prints to `to`, with ANSI colours if `colour`.
    pub fn new(to: LineSink, colour: bool) -> Self {
        Self {
            to,
            colour,
            starts: Mutex::default(),
        }
    }

    fn line(&self, kind: &EventKind) -> Option<(String, String)> {
        Some(match kind {
            EventKind::StepBegins { trial, title, .. } => {
                (trial.clone(), format!("  ...   {title}"))
            }
            EventKind::StepEnds {
                trial,
                title,
                duration,
                failure,
                failed_on,
                ..
            } => {
                let status = match failure {
                    None => self.paint("   ok  ", 32),
                    Some(_) => self.paint("FAILED ", 31),
                };
                let machine = failed_on.as_ref().map(|name| format!(" on machine {name}"));
                let machine = machine.unwrap_or_default();
                let line = format!("{status} {title} ({duration:.1} s){machine}");
                (trial.clone(), line)
            }
            EventKind::AttemptEnds { trial, attempt, .. } => {
                let status = self.paint("again  ", 33);
                (trial.clone(), format!("{status} attempt {attempt} failed"))
            }
            EventKind::Note {
                trial: Some(trial),
                text,
            } => (trial.clone(), format!("  note  {text}")),
            _ => return None,
        })
    }

    fn paint(&self, word: &str, colour: u8) -> String {
        if self.colour {
            format!("\x1b[{colour}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    }
}

impl Listener for TextReporter {
    fn on_event(&self, event: &Event) {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        if let EventKind::TrialBegins { trial, .. } = &event.kind {
            starts.insert(trial.clone(), event.timestamp);
        }
        if let Some((trial, line)) = self.line(&event.kind) {
            let seconds = event.timestamp - starts.get(&trial).unwrap_or(&event.timestamp);
            (self.to)(&format!("{trial} {seconds:6.1} s {line}"));
        }
    }
}
