//! Timestamps of the bytes in `serial.log`, so that the output of a machine can be aligned with the
//! actions on it.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use base::clock::now;

/// Bytes that arrive within this time form one piece.
const PIECE: Duration = Duration::from_millis(100);

/// Writes `serial.times`: one line `SECONDS OFFSET` per piece. SECONDS is the Unix time at which the
/// byte at OFFSET arrived.
pub(super) struct Times {
    file: File,
    /// Offset of the next byte in the log.
    offset: usize,
    noted: Option<Instant>,
}

impl Times {
    /// `offset` is the length of the log of earlier boots.
    pub(super) fn new(file: File, offset: usize) -> Self {
        Self {
            file,
            offset,
            noted: None,
        }
    }

    /// Records that bytes arrived now.
    pub(super) fn note(&mut self, bytes: usize) {
        if self.noted.is_none_or(|noted| noted.elapsed() >= PIECE) {
            let line = format!("{:.3} {}\n", now(), self.offset);
            // As with the log itself, a full disk must not end the trial.
            let _ = self.file.write_all(line.as_bytes());
            self.noted = Some(Instant::now());
        }
        self.offset += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_arrive_together_form_one_piece() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut times = Times::new(file.reopen().unwrap(), 7);
        times.note(10);
        times.note(5);
        // As if the first piece had begun long before.
        times.noted = None;
        times.note(1);
        let text = std::fs::read_to_string(file.path()).unwrap();
        let offsets: Vec<_> = text.lines().map(|l| l.split_once(' ').unwrap().1).collect();
        assert_eq!(offsets, ["7", "22"]);
    }
}
