//! The output files of a run: the event stream, `JUnit` XML and the page; and the listener that writes them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::FlockArg;

use super::history::History;
use super::jsonl::Stream;
use super::run_log::RunLog;
use super::{junit, page};
use base::files;
use base::lock;
use events::{Event, EventKind, Listener, Listeners};

/// The shortest time between two updates of the files during a run.
const UPDATE_INTERVAL: Duration = Duration::from_secs(10);

/// The requested output files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// The page.
    pub report: Option<PathBuf>,
    /// `JUnit` XML.
    pub junit: Option<PathBuf>,
    /// The stream of events; `-` is stdout.
    pub events: Option<PathBuf>,
    /// Whether the event file has the content of another run, which is truncated.
    pub events_anew: bool,
    /// The identity of the run if each trial is a process of its own, as under cargo-nextest.
    pub shared_run: Option<String>,
}

impl Outputs {
    /// Whether the event stream uses stdout.
    pub fn takes_stdout(&self) -> bool {
        self.events.as_deref() == Some(Path::new("-"))
    }

    /// Adds the listeners that write the files, and checks that the files can be written. `history` is the
    /// folder of past boots.
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

    /// Writes the page and the XML.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, run_log: &RunLog, history: &History) -> Result<(), String> {
        if let Some(file) = &self.report {
            let html = page::html(run_log, &history.boots());
            files::replace(file, files::SHARED, html.as_bytes())
                .map_err(|error| cannot(file, &error))?;
        }
        if let Some(file) = &self.junit {
            let xml = junit::xml(run_log).map_err(|error| error.to_string());
            let written = files::replace(file, files::SHARED, xml?.as_bytes());
            written.map_err(|error| cannot(file, &error))?;
        }
        Ok(())
    }
}

fn cannot(file: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", file.display())
}

/// Creates the folder of a file if it does not exist.
fn folder(file: &Path) -> std::io::Result<&Path> {
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    Ok(folder)
}

/// Checks that a file can be written, before the run starts.
fn probe(file: &Path) -> std::io::Result<()> {
    if file.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    tempfile::NamedTempFile::new_in(folder(file)?).map(drop)
}

/// Collects the run log and writes the requested files: at intervals, so that an interrupted run leaves
/// most of it, and at the end.
struct Writer {
    outputs: Outputs,
    history: History,
    /// The file of the run log that several processes share.
    shared: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    run_log: RunLog,
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

    fn record(&self, state: &mut State, event: &Event) -> Result<(), String> {
        state.run_log.add(event);
        let Some(file) = &self.shared else {
            if self.is_time(state, event) {
                state.written = Some(Instant::now());
                return self.outputs.write(&state.run_log, &self.history);
            }
            return Ok(());
        };
        // One process at a time, so that the last one to write has read all events.
        let lock = folder(file)
            .and_then(|_| lock::take(&file.with_extension("lock"), FlockArg::LockExclusive));
        let _lock = lock.map_err(|error| cannot(file, &error))?;
        let added = state.run_log.append_last(file);
        added.map_err(|error| cannot(file, &error))?;
        match event.kind {
            EventKind::RunEnds { .. } => self.outputs.write(&RunLog::read(file)?, &self.history),
            _ => Ok(()),
        }
    }

    fn is_time(&self, state: &State, event: &Event) -> bool {
        let written = state.written;
        match event.kind {
            EventKind::RunEnds { .. } => true,
            EventKind::TrialEnds { .. } => {
                written.is_none_or(|written| written.elapsed() >= UPDATE_INTERVAL)
            }
            _ => false,
        }
    }
}

impl Listener for Writer {
    fn on_event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.record(&mut state, event)
            && !std::mem::replace(&mut state.failed, true)
        {
            log::warn!("{error}");
        }
    }
}
