//! Commands that repeat a trial or show its evidence.

use maud::{Markup, html};

use crate::run::{Attempt, TestResult};
use base::shell::quote;
use events::SnapshotOutcome;
use events::Verdict;

/// The commands, each with a button that copies it.
pub(super) fn list(result: &TestResult, attempt: &Attempt) -> Markup {
    let left = attempt.end.as_ref().zip(attempt.left());
    html! {
        ul.commands {
            @if let Some((end, evidence)) = left {
                @let evidence = quote(&evidence.to_string_lossy());
                @if let Some(SnapshotOutcome::Kept { .. }) = end.machine {
                    (command("Enter the machine in its failed state", &format!("cargo harness enter {evidence}")))
                }
                @if matches!(end.verdict, Verdict::Failed | Verdict::KnownFailure) {
                    (command("Run the trial again from its evidence", &format!("cargo harness replay {evidence}")))
                }
                (command("Evidence", &format!("ls {evidence}")))
            }
            (command("Run the trial again", &format!("cargo harness test {} --verbose", result.name)))
        }
    }
}

fn command(label: &str, line: &str) -> Markup {
    html! {
        li {
            span { (label) }
            span.line {
                code { (line) }
                button.copy type="button" hidden aria-label={ "Copy: " (label) } { "Copy" }
            }
        }
    }
}
