//! What a terminal gets that a file does not.

use std::io::IsTerminal;

/// Whether a person looks on, in whose terminal lines can be drawn over again.
pub fn is_live() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
    terminal && !dumb && !set("CI")
}

/// Whether to colour what goes to `stream`: a terminal, unless `NO_COLOR` says otherwise.
pub fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
