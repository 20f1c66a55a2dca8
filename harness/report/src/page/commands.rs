//! What to type to see a trial again.

use maud::{Markup, html};

use crate::run::{Attempt, Tried};
use base::shell::quote;
use events::Fate;
use events::Verdict;

/// The commands, each with a button that copies it.
pub(super) fn list(tried: &Tried, attempt: &Attempt) -> Markup {
    let left = attempt.end.as_ref().zip(attempt.left());
    html! {
        ul.commands {
            @if let Some((end, evidence)) = left {
                @let evidence = quote(&evidence.to_string_lossy());
                @if let Some(Fate::Yes { .. }) = end.machine {
                    (command("Enter the machine as it failed", &format!("cargo harness enter {evidence}")))
                }
                @if matches!(end.verdict, Verdict::Red | Verdict::KnownFailure) {
                    (command("Run the trial again from its evidence", &format!("cargo harness replay {evidence}")))
                }
                (command("Evidence", &format!("ls {evidence}")))
            }
            (command("Run the trial again", &format!("cargo harness test {} --verbose", tried.name)))
        }
    }
}

fn command(what: &str, line: &str) -> Markup {
    html! {
        li {
            span { (what) }
            span.line {
                code { (line) }
                button.copy type="button" hidden aria-label={ "Copy: " (what) } { "Copy" }
            }
        }
    }
}
