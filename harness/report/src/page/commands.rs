//! Commands that repeat a trial or show its evidence.

use std::path::Path;

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
                @if let Some(SnapshotOutcome::Kept { folder, .. }) = &end.machine {
                    (enter(attempt, folder))
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

/// The commands that enter the machines in the failed state: all of them with their networks, and the one that
/// failed alone.
fn enter(attempt: &Attempt, folder: &Path) -> Markup {
    let line = format!("cargo harness enter {}", quote(&folder.to_string_lossy()));
    let Some(failed) = attempt.failed_on() else {
        return command("Enter the machine in its failed state", &line);
    };
    html! {
        (command("Enter the machines in their failed state", &line))
        (command(&format!("Enter {failed} alone"), &format!("{line} --machine {}", quote(failed))))
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
