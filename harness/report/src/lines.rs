//! Each step on a line of text.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::sink::LineSink;
use events::{Event, Listener, What};

/// Prints each step of each trial.
pub struct Lines {
    to: LineSink,
    colour: bool,
    /// When each trial began.
    begun: Mutex<BTreeMap<String, f64>>,
}

impl Lines {
    /// Prints to `to`, with ANSI colours if `colour`.
    pub fn new(to: LineSink, colour: bool) -> Self {
        Self {
            to,
            colour,
            begun: Mutex::default(),
        }
    }

    fn line(&self, what: &What) -> Option<(String, String)> {
        Some(match what {
            What::StepBegins { trial, what, .. } => (trial.clone(), format!("  ...   {what}")),
            What::StepEnds {
                trial,
                what,
                took,
                fault,
                ..
            } => {
                let word = match fault {
                    None => self.paint("   ok  ", 32),
                    Some(_) => self.paint("FAILED ", 31),
                };
                (trial.clone(), format!("{word} {what} ({took:.1} s)"))
            }
            What::AttemptEnds { trial, attempt, .. } => {
                let word = self.paint("again  ", 33);
                (trial.clone(), format!("{word} attempt {attempt} failed"))
            }
            What::Note {
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

impl Listener for Lines {
    fn hear(&self, event: &Event) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if let What::TrialBegins { trial, .. } = &event.what {
            begun.insert(trial.clone(), event.at);
        }
        if let Some((trial, line)) = self.line(&event.what) {
            let at = event.at - begun.get(&trial).unwrap_or(&event.at);
            (self.to)(&format!("{trial} {at:6.1} s {line}"));
        }
    }
}
