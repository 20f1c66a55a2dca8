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

/// The commands that enter the machines in the failed state: that of the failure first.
fn enter(attempt: &Attempt, folder: &Path) -> Markup {
    let line = format!("cargo harness enter {}", quote(&folder.to_string_lossy()));
    // The machine that was made for a checkpoint has no name.
    if attempt.machines.is_empty() || folder != attempt.evidence {
        return command("Enter the machine in its failed state", &line);
    }
    let mut machines: Vec<&str> = attempt.machines.iter().map(String::as_str).collect();
    machines.sort_by_key(|name| Some(*name) != attempt.failed_on());
    html! {
        @for name in machines {
            @let state = if Some(name) == attempt.failed_on() { "in its failed state" } else { "as it was then" };
            (command(&format!("Enter {name} {state}"), &format!("{line} --machine {}", quote(name))))
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
