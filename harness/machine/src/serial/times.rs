//! When the bytes of `serial.log` came, so that what a machine said can be seen beside what was done
//! to it.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use base::clock::now;

/// What comes within this time is noted as one piece.
const PIECE: Duration = Duration::from_millis(100);

/// Writes `serial.times`: a line `SECONDS OFFSET` for each piece, the time in seconds since 1970 when
/// the byte at the offset came.
pub(super) struct Times {
    file: File,
    /// Where the next byte stands in the log.
    offset: usize,
    noted: Option<Instant>,
}

impl Times {
    /// The log has so many bytes of earlier boots.
    pub(super) fn new(file: File, offset: usize) -> Self {
        Self {
            file,
            offset,
            noted: None,
        }
    }

    /// So many bytes came now.
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
    fn bytes_that_come_together_are_one_piece() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut times = Times::new(file.reopen().unwrap(), 7);
        times.note(10);
        times.note(5);
        // As if the first piece had begun before.
        times.noted = None;
        times.note(1);
        let text = std::fs::read_to_string(file.path()).unwrap();
        let offsets: Vec<_> = text.lines().map(|l| l.split_once(' ').unwrap().1).collect();
        assert_eq!(offsets, ["7", "22"]);
    }
}
