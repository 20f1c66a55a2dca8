//! Who looks on while a trial goes by.

use std::time::{Duration, Instant};

/// What happens in a trial.
#[derive(Debug)]
pub enum Moment<'a> {
    /// Something begins: the boot, or a step.
    Begins(&'a str),
    /// It went well.
    Held(&'a str, Duration),
    /// It did not.
    Failed(&'a str, Duration),
}

/// Prints the moments of a trial on stderr, or nothing.
#[derive(Debug, Clone)]
pub struct Watch {
    trial: Option<String>,
    colour: bool,
    begin: Instant,
}

impl Watch {
    /// Nobody looks on.
    pub fn nobody() -> Self {
        Self {
            trial: None,
            colour: false,
            begin: Instant::now(),
        }
    }

    /// Each step on a line of stderr.
    pub fn lines(trial: &str) -> Self {
        let colour = crate::terminal::colour(&std::io::stderr());
        Self {
            trial: Some(trial.into()),
            colour,
            begin: Instant::now(),
        }
    }

    /// Tells of a moment.
    pub fn tell(&self, moment: &Moment<'_>) {
        let Some(trial) = &self.trial else { return };
        let at = self.begin.elapsed().as_secs_f64();
        let line = match moment {
            Moment::Begins(what) => format!("  ...   {what}"),
            Moment::Held(what, took) => {
                format!(
                    "{} {what} ({:.1} s)",
                    self.paint("   ok  ", 32),
                    took.as_secs_f64()
                )
            }
            Moment::Failed(what, took) => {
                format!(
                    "{} {what} ({:.1} s)",
                    self.paint("FAILED ", 31),
                    took.as_secs_f64()
                )
            }
        };
        eprintln!("{trial} {at:6.1} s {line}");
    }

    fn paint(&self, word: &str, colour: u8) -> String {
        if self.colour {
            format!("\x1b[{colour}m{word}\x1b[0m")
        } else {
            word.to_owned()
        }
    }
}
