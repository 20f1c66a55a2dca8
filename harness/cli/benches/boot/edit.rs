//! One changed line of the OS until the verdict over it.

use std::path::PathBuf;
use std::time::Instant;

use regex::Regex;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use harness::artifacts;
use harness::project::Project;

use crate::common::Result;
use crate::common::figure::{Figure, list, median};

/// The file that is changed.
const FILE: &str = "os/init/src/sequence.rs";
/// Where: before the first words that it says on the console, so that the program changes too.
const PLACE: &str = ".print(\"";
/// What comes there, with a number; taken away again, also when a killed run left it behind.
const MARK: &str = r"\[bench \d+\] ";
/// From Enter to the verdict, in seconds.
const BOUND: f64 = 45.0;

/// Changes, tests, and undoes the change; so many times.
pub async fn measure(project: &Project, edits: u16) -> Result<Figure> {
    let edit = Edit {
        file: project.root().join(FILE),
    };
    edit.undo()?;
    // So that nothing but the change is left to be built.
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

/// A change that does not outlive this value.
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

    /// Takes the mark out of what is there now, so that nobody else's change is undone with it.
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
            eprintln!("warning: {} is left changed: {error}", self.file.display());
        }
    }
}

/// Runs cargo as a person would, and comes back at a signal too, so that the change is undone.
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
        _ = end.recv() => return Err("told to end".into()),
    };
    if status.success() {
        return Ok(());
    }
    Err(format!("`cargo {}` failed ({status})", arguments.join(" ")).into())
}
