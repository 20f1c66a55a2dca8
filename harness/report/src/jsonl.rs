//! The stream of events as JSON, a line each: what `--events` writes.
//!
//! Fields and events may be added, none changes or goes while the version stays.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use events::{Event, EventKind, Listener};

/// Told with each beginning of a run.
pub(crate) const VERSION: u32 = 2;

/// Writes each event at once.
pub struct Stream(Mutex<Sink>);

struct Sink {
    to: Box<dyn Write + Send>,
    /// Nobody reads any more, or the disk is full: said once.
    failed: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
}

impl Stream {
    /// Into a file, `-` for stdout. What other processes write into the file at the same time stays;
    /// what is already in it does unless it is to be `new`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(file: &Path, new: bool) -> io::Result<Self> {
        if file == Path::new("-") {
            return Ok(Self::to(io::stdout()));
        }
        let mut options = File::options();
        let opened = options.create(true).append(true).open(file)?;
        if new {
            opened.set_len(0)?;
        }
        Ok(Self::to(opened))
    }

    fn to(to: impl Write + Send + 'static) -> Self {
        let to = Box::new(to);
        Self(Mutex::new(Sink { to, failed: false }))
    }
}

impl Listener for Stream {
    fn on_event(&self, event: &Event) {
        let begins = matches!(event.kind, EventKind::RunBegins { .. });
        let version = begins.then_some(VERSION);
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.failed {
            return;
        }
        let written = serde_json::to_string(&Line { event, version })
            .map_err(io::Error::from)
            // In one piece: other processes may write between two.
            .and_then(|line| sink.to.write_all(format!("{line}\n").as_bytes()))
            .and_then(|()| sink.to.flush());
        if let Err(error) = written {
            sink.failed = true;
            log::warn!("the stream of events ends here: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_a_line_and_the_first_tells_the_version() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.jsonl");
        std::fs::write(&file, "of yesterday\n").unwrap();
        let stream = Stream::open(&file, true).unwrap();
        let other = Stream::open(&file, false).unwrap();
        let note = |text: &str| EventKind::Note {
            trial: None,
            text: text.into(),
        };
        let begins = EventKind::RunBegins {
            trials: vec!["q35::tea".into()],
            ignored: vec![],
        };
        stream.on_event(&Event {
            timestamp: 1.0,
            kind: begins,
        });
        for (stream, text) in [(&stream, "a"), (&other, "b"), (&stream, "c")] {
            let what = note(text);
            stream.on_event(&Event {
                timestamp: 2.0,
                kind: what,
            });
        }
        insta::assert_snapshot!(std::fs::read_to_string(&file).unwrap(), @r#"
        {"timestamp":1.0,"event":"run-begins","trials":["q35::tea"],"ignored":[],"version":2}
        {"timestamp":2.0,"event":"note","trial":null,"text":"a"}
        {"timestamp":2.0,"event":"note","trial":null,"text":"b"}
        {"timestamp":2.0,"event":"note","trial":null,"text":"c"}
        "#);
    }
}
