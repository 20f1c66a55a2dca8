//! The stream of events as JSON Lines, which `--events` writes.
//!
//! A version can add fields and events. It never changes or removes one.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use events::{Event, EventKind, Listener};

/// The version of the format, part of the `run-begins` event.
pub(crate) const VERSION: u32 = 2;

/// Writes each event as it happens.
pub(crate) struct Stream(Mutex<Sink>);

struct Sink {
    to: Box<dyn Write + Send>,
    /// Writing failed (closed pipe, full disk); it is reported once.
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
    /// Opens a file to append to; `-` is stdout. `new` truncates the file first. Several processes can write
    /// to the same file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn open(file: &Path, new: bool) -> io::Result<Self> {
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
            // In one write: other processes may write between two.
            .and_then(|line| sink.to.write_all(format!("{line}\n").as_bytes()))
            .and_then(|()| sink.to.flush());
        if let Err(error) = written {
            sink.failed = true;
            log::warn!("cannot write the event stream, which ends here: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_has_a_line_per_event_and_the_version_in_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.jsonl");
        std::fs::write(&file, "of an earlier run\n").unwrap();
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
            let kind = note(text);
            stream.on_event(&Event {
                timestamp: 2.0,
                kind,
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
