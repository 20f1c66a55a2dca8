//! Errors and output of commands.

use std::fmt::Display;
use std::io::Write;

use harness::exit;

/// An error of a command: the exit status and the message.
pub(super) struct Refusal {
    pub(super) status: u8,
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn usage(why: impl Display) -> Self {
        Self {
            status: exit::USAGE,
            why: why.to_string(),
        }
    }

    pub(super) fn infrastructure(why: impl Display) -> Self {
        Self {
            status: exit::INFRASTRUCTURE,
            why: why.to_string(),
        }
    }
}

/// Prints a text on stdout. A closed pipe is not an error.
pub(super) fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}
