//! What a run leaves for others: the stream of events, `JUnit` XML, the page; and who writes them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::FlockArg;

use super::history::History;
use super::journal::Journal;
use super::stream::Stream;
use super::{junit, page};
use base::files;
use base::lock;
use events::{Event, Listener, Listeners, What};

/// Files are written again while a run goes on, but not more often than this.
const AGAIN: Duration = Duration::from_secs(10);

/// Files that are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// The page.
    pub report: Option<PathBuf>,
    /// `JUnit` XML.
    pub junit: Option<PathBuf>,
    /// The stream of events; `-` is stdout.
    pub events: Option<PathBuf>,
    /// What the file of events holds is of another run.
    pub events_anew: bool,
    /// Identifies the run when each of its trials is a process, as under cargo-nextest.
    pub shared_run: Option<String>,
}

impl Outputs {
    /// Whether stdout belongs to the stream.
    pub fn takes_stdout(&self) -> bool {
        self.events.as_deref() == Some(Path::new("-"))
    }

    /// Adds those who write the files, and makes sure that they can. `history` is the folder where past
    /// boots are kept.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn listen(&self, listeners: Listeners, history: &Path) -> Result<Listeners, String> {
        let mut listeners = listeners;
        if let Some(file) = &self.events {
            let stream = folder(file).and_then(|_| Stream::open(file, self.events_anew));
            listeners = listeners.with(stream.map_err(|error| cannot(file, &error))?);
        }
        for file in self.report.iter().chain(&self.junit) {
            probe(file).map_err(|error| cannot(file, &error))?;
        }
        if self.report.is_none() && self.junit.is_none() {
            return Ok(listeners);
        }
        Ok(listeners.with(Writer::new(self.clone(), history)))
    }

    /// Writes page and XML.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, journal: &Journal, history: &History) -> Result<(), String> {
        if let Some(file) = &self.report {
            let html = page::html(journal, &history.boots());
            files::replace(file, files::SHARED, html.as_bytes())
                .map_err(|error| cannot(file, &error))?;
        }
        if let Some(file) = &self.junit {
            let xml = junit::xml(journal).map_err(|error| error.to_string());
            let written = files::replace(file, files::SHARED, xml?.as_bytes());
            written.map_err(|error| cannot(file, &error))?;
        }
        Ok(())
    }
}

fn cannot(file: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be written: {error}", file.display())
}

/// The folder of a file, made where it is not there.
fn folder(file: &Path) -> std::io::Result<&Path> {
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    Ok(folder)
}

/// Minutes before it is needed.
fn probe(file: &Path) -> std::io::Result<()> {
    if file.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    tempfile::NamedTempFile::new_in(folder(file)?).map(drop)
}

/// Keeps the journal of a run, and writes what is asked for: now and then, so that a run that is
/// interrupted leaves most of it, and at the end.
struct Writer {
    outputs: Outputs,
    history: History,
    /// Where several processes keep one journal.
    shared: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    journal: Journal,
    written: Option<Instant>,
    failed: bool,
}

impl Writer {
    fn new(outputs: Outputs, history: &Path) -> Self {
        let run = outputs.shared_run.clone();
        let name = |run| format!("harness-nextest-{run}.jsonl");
        Self {
            history: History::new(history),
            shared: run.map(|run| history.join(name(run))),
            outputs,
            state: Mutex::default(),
        }
    }

    fn take(&self, state: &mut State, event: &Event) -> Result<(), String> {
        state.journal.add(event);
        let Some(file) = &self.shared else {
            if self.is_time(state, event) {
                state.written = Some(Instant::now());
                return self.outputs.write(&state.journal, &self.history);
            }
            return Ok(());
        };
        // One process at a time, so that the last one to write has seen all.
        let ours = folder(file)
            .and_then(|_| lock::take(&file.with_extension("lock"), FlockArg::LockExclusive));
        let _ours = ours.map_err(|error| cannot(file, &error))?;
        let added = state.journal.append_last(file);
        added.map_err(|error| cannot(file, &error))?;
        match event.what {
            What::RunEnds { .. } => self.outputs.write(&Journal::read(file)?, &self.history),
            _ => Ok(()),
        }
    }

    fn is_time(&self, state: &State, event: &Event) -> bool {
        let written = state.written;
        match event.what {
            What::RunEnds { .. } => true,
            What::TrialEnds { .. } => written.is_none_or(|written| written.elapsed() >= AGAIN),
            _ => false,
        }
    }
}

impl Listener for Writer {
    fn hear(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.take(&mut state, event)
            && !std::mem::replace(&mut state.failed, true)
        {
            log::warn!("{error}");
        }
    }
}
