//! What to type to see a trial again.

use maud::{Markup, html};

use crate::event::Verdict;
use crate::report::run::{Attempt, Tried};

/// The commands, each with a button that copies it.
pub(super) fn list(tried: &Tried, attempt: &Attempt) -> Markup {
    let evidence = quote(&attempt.evidence.to_string_lossy());
    let kept = attempt.end.as_ref().filter(|end| end.kept);
    html! {
        ul.commands {
            @if let Some(end) = kept {
                @if end.verdict == Verdict::Red {
                    (command("Enter the machine as it failed", &format!("cargo harness enter {evidence}")))
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

/// One word for a shell.
fn quote(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+,@%".contains(c);
    if path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}
