//! Excerpts of evidence folders, made before those are deleted: the end of the serial log, and
//! screenshots.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use base::text::printable;

/// Bytes from the end of the serial log of a trial that passed.
const BYTES_OF_PASSED: u64 = 16 << 10;
/// Bytes from the end of the serial log of a trial that did not pass.
const BYTES_OF_FAILED: u64 = 200 << 10;
/// The limit of lines for both: a log of empty lines would make a page that no browser can display.
const LINES: usize = 5000;
/// The limit of bytes of all screenshots.
const PICTURES: u64 = 2 << 20;

/// The excerpt of one evidence folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EvidenceExcerpt {
    /// The last lines of the serial log.
    pub serial: Vec<SerialLine>,
    /// The number of bytes before these lines.
    pub cut: u64,
    /// Screenshots.
    pub pictures: Vec<Picture>,
}

/// A line of the serial console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SerialLine {
    /// The time of its first byte in seconds since 1970, to a tenth of a second.
    #[serde(rename = "at")]
    pub timestamp: Option<f64>,
    /// The line without control characters.
    pub text: String,
}

/// A screenshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The file's name.
    pub name: String,
    /// The PNG in base64.
    pub png: String,
}

impl EvidenceExcerpt {
    /// Makes the excerpt of a folder, a longer one if the trial did not pass; `None` if there is no such
    /// folder.
    pub fn from(folder: &Path, passed: bool) -> Option<Self> {
        if !folder.is_dir() {
            return None;
        }
        let limit = if passed {
            BYTES_OF_PASSED
        } else {
            BYTES_OF_FAILED
        };
        let (bytes, cut) = end_of(&folder.join("serial.log"), limit).unwrap_or_default();
        let times = std::fs::read_to_string(folder.join("serial.times")).unwrap_or_default();
        let mut excerpt = Self {
            serial: lines(&bytes, cut, &parse_times(&times)),
            cut,
            pictures: pictures(folder),
        };
        excerpt.shorten();
        Some(excerpt)
    }

    /// Escapes control characters, for an excerpt from a file.
    #[must_use]
    pub fn printable(mut self) -> Self {
        for line in &mut self.serial {
            line.text = printable(&line.text);
        }
        for picture in &mut self.pictures {
            picture.name = printable(&picture.name);
        }
        self
    }

    fn shorten(&mut self) {
        let more = self.serial.len().saturating_sub(LINES);
        let gone = self.serial.drain(..more);
        self.cut += gone.map(|line| line.text.len() as u64 + 1).sum::<u64>();
    }
}

/// The last bytes of a file from the start of a line, and the number of bytes before them.
fn end_of(file: &Path, limit: u64) -> std::io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(file)?;
    let mut cut = file.metadata()?.len().saturating_sub(limit);
    file.seek(SeekFrom::Start(cut))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    if cut > 0
        && let Some(end) = bytes.iter().position(|byte| *byte == b'\n')
    {
        bytes.drain(..=end);
        cut += end as u64 + 1;
    }
    Ok((bytes, cut))
}

/// Parses `serial.times`: the time of a read, and the offset of its first byte.
fn parse_times(text: &str) -> Vec<(f64, u64)> {
    let parse = |line: &str| {
        let (timestamp, offset) = line.split_once(' ')?;
        Some((timestamp.parse().ok()?, offset.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

fn lines(bytes: &[u8], mut offset: u64, times: &[(f64, u64)]) -> Vec<SerialLine> {
    let mut lines = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let piece = times.partition_point(|(_, from)| *from <= offset);
        lines.push(SerialLine {
            timestamp: piece.checked_sub(1).map(|piece| times[piece].0),
            text: printable(&String::from_utf8_lossy(line))
                .trim_end()
                .to_owned(),
        });
        offset += line.len() as u64;
    }
    lines
}

/// The PNG files of a folder.
fn pictures(folder: &Path) -> Vec<Picture> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "png"));
    files.sort();
    let mut left = PICTURES;
    let picture = |file: &std::path::PathBuf| {
        let size = file.metadata().ok()?.len();
        left = left.checked_sub(size)?;
        Some(Picture {
            name: file.file_name()?.to_string_lossy().into_owned(),
            png: BASE64_STANDARD.encode(std::fs::read(file).ok()?),
        })
    };
    files.iter().filter_map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(log: &[u8], times: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("serial.log"), log).unwrap();
        std::fs::write(folder.path().join("serial.times"), times).unwrap();
        folder
    }

    #[test]
    fn lines_have_the_time_of_their_first_byte() {
        let folder = folder(
            b"one\r\n\x1b[1mtwo\xff\nthree",
            "10.000 0\n11.500 5\nbroken\n12.000 16\n",
        );
        std::fs::write(folder.path().join("screen.png"), "png").unwrap();
        let excerpt = EvidenceExcerpt::from(folder.path(), true).unwrap();
        let lines: Vec<_> = excerpt
            .serial
            .iter()
            .map(|s| (s.timestamp, &s.text[..]))
            .collect();
        assert_eq!(
            lines,
            [
                (Some(10.0), "one"),
                (Some(11.5), "two\u{fffd}"),
                (Some(11.5), "three")
            ]
        );
        assert_eq!((excerpt.cut, &excerpt.pictures[0].png[..]), (0, "cG5n"));
    }

    #[test]
    fn long_log_is_cut_at_a_line_and_the_cut_is_counted() {
        let log = "123456789\n".repeat(30_000);
        let folder = folder(log.as_bytes(), "5.0 0\n6.0 299990\n");
        for passed in [true, false] {
            let excerpt = EvidenceExcerpt::from(folder.path(), passed).unwrap();
            assert_eq!(excerpt.serial.len() as u64 * 10 + excerpt.cut, 300_000);
            assert!(excerpt.serial.iter().all(|line| line.text == "123456789"));
            assert_eq!(excerpt.serial[0].timestamp, Some(5.0));
            assert_eq!(excerpt.serial.last().unwrap().timestamp, Some(6.0));
        }
    }

    #[test]
    fn excerpt_of_a_missing_folder_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            EvidenceExcerpt::from(&folder.path().join("gone"), true),
            None
        );
        assert_eq!(
            EvidenceExcerpt::from(folder.path(), true),
            Some(EvidenceExcerpt::default())
        );
    }
}
