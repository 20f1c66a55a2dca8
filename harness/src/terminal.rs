//! What a terminal gets that a file does not.

use std::io::IsTerminal;

/// Whether to colour what goes to `stream`: a terminal, unless `NO_COLOR` says otherwise.
pub fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
