//! Measures the time from one changed line of the OS to its verdict.

use std::path::PathBuf;
use std::time::Instant;

use regex::Regex;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use harness::artifacts;
use harness::project::Project;

use crate::common::Result;
use crate::common::figure::{Figure, list, median};

/// The file to change.
const FILE: &str = "os/init/src/sequence.rs";
/// The place of the change: before the first console message, so that the program changes too.
const PLACE: &str = ".print(\"";
/// The inserted text with a number. It is removed again, even if a killed run left it.
const MARK: &str = r"\[bench \d+\] ";
/// The bound in seconds, from Enter to the verdict.
const BOUND: f64 = 45.0;

/// Changes the file, runs the test, and reverts the change, the given number of times.
pub(crate) async fn measure(project: &Project, edits: u16) -> Result<Figure> {
    let edit = Edit {
        file: project.root().join(FILE),
    };
    edit.undo()?;
    // Build everything else first.
    cargo(project, &["test", "--quiet", "--test", "boot", "--no-run"]).await?;
    let mut times = Vec::new();
    for number in 1..=edits {
        edit.make(number)?;
        let begin = Instant::now();
        cargo(
            project,
            &["test", "--quiet", "--test", "boot", "--", "q35::boot"],
        )
        .await?;
        times.push(begin.elapsed().as_secs_f64());
        edit.undo()?;
    }
    drop(edit);
    artifacts::build(project)?;
    println!("\nedit to verdict: {}", list(&times));
    Ok(Figure::new(
        "edit to verdict seconds",
        median(&times),
        BOUND,
        1,
    ))
}

/// A change that is reverted on drop.
struct Edit {
    file: PathBuf,
}

impl Edit {
    fn make(&self, number: u16) -> Result<()> {
        let text = std::fs::read_to_string(&self.file)?;
        let edited = text.replacen(PLACE, &format!("{PLACE}[bench {number}] "), 1);
        if edited == text {
            return Err(format!("{FILE} has no `{PLACE}`, which this bench changes").into());
        }
        Ok(std::fs::write(&self.file, edited)?)
    }

    /// Removes the mark from the current content, so that other changes are kept.
    fn undo(&self) -> Result<()> {
        let text = std::fs::read_to_string(&self.file)?;
        let plain = Regex::new(MARK)?.replace_all(&text, "");
        if plain != text {
            std::fs::write(&self.file, plain.as_bytes())?;
        }
        Ok(())
    }
}

impl Drop for Edit {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            eprintln!(
                "warning: cannot revert the change in {}: {error}",
                self.file.display()
            );
        }
    }
}

/// Runs cargo like a user. Also returns at a signal, so that the change is reverted.
async fn cargo(project: &Project, arguments: &[&str]) -> Result<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command
        .current_dir(project.root())
        .args(arguments)
        .kill_on_drop(true);
    let (mut interrupt, mut end) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let status = tokio::select! {
        status = command.status() => status?,
        _ = interrupt.recv() => return Err("interrupted".into()),
        _ = end.recv() => return Err("interrupted".into()),
    };
    if status.success() {
        return Ok(());
    }
    Err(format!("`cargo {}` failed ({status})", arguments.join(" ")).into())
}
