//! What a report takes from an evidence folder, before that is gone: what the machine said, and
//! pictures of it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use base::text::printable;

/// Bytes of the serial log of a trial that passed: its end.
const OF_PASSED: u64 = 16 << 10;
/// Bytes of the serial log of a trial that did not.
const OF_RED: u64 = 200 << 10;
/// Lines of either: a log of empty lines must not make a page that no browser can show.
const LINES: usize = 5000;
/// Bytes of all pictures.
const PICTURES: u64 = 2 << 20;

/// What is excerpts from one folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EvidenceExcerpt {
    /// The end of what the serial line said.
    pub serial: Vec<Said>,
    /// How many bytes it said before those.
    pub cut: u64,
    /// Screenshots.
    pub pictures: Vec<Picture>,
}

/// A line of the serial console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// When its first byte came, in seconds since 1970, to a tenth of a second.
    pub at: Option<f64>,
    /// The line, without what would move a cursor.
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
    /// What there is in a folder; more of it where the trial did not pass. Nothing where there is no
    /// such folder.
    pub fn from(folder: &Path, passed: bool) -> Option<Self> {
        if !folder.is_dir() {
            return None;
        }
        let most = if passed { OF_PASSED } else { OF_RED };
        let (bytes, cut) = end_of(&folder.join("serial.log"), most).unwrap_or_default();
        let times = std::fs::read_to_string(folder.join("serial.times")).unwrap_or_default();
        let mut excerpts = Self {
            serial: lines(&bytes, cut, &parse_times(&times)),
            cut,
            pictures: pictures(folder),
        };
        excerpts.shorten();
        Some(excerpts)
    }

    /// The same in letters that act on nothing, where somebody else took it.
    #[must_use]
    pub fn printable(mut self) -> Self {
        for said in &mut self.serial {
            said.text = printable(&said.text);
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

/// The last bytes of a file from the beginning of a line, and how many are before them.
fn end_of(file: &Path, most: u64) -> std::io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(file)?;
    let mut cut = file.metadata()?.len().saturating_sub(most);
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

/// When bytes came: the time, and where the first of them stands.
fn parse_times(text: &str) -> Vec<(f64, u64)> {
    let parse = |line: &str| {
        let (at, offset) = line.split_once(' ')?;
        Some((at.parse().ok()?, offset.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

fn lines(bytes: &[u8], mut offset: u64, times: &[(f64, u64)]) -> Vec<Said> {
    let mut said = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let piece = times.partition_point(|(_, from)| *from <= offset);
        said.push(Said {
            at: piece.checked_sub(1).map(|piece| times[piece].0),
            text: printable(&String::from_utf8_lossy(line))
                .trim_end()
                .to_owned(),
        });
        offset += line.len() as u64;
    }
    said
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
    fn lines_know_when_they_came() {
        let folder = folder(
            b"one\r\n\x1b[1mtwo\xff\nthree",
            "10.000 0\n11.500 5\nbroken\n12.000 16\n",
        );
        std::fs::write(folder.path().join("screen.png"), "png").unwrap();
        let excerpts = EvidenceExcerpt::from(folder.path(), true).unwrap();
        let said: Vec<_> = excerpts
            .serial
            .iter()
            .map(|s| (s.at, &s.text[..]))
            .collect();
        assert_eq!(
            said,
            [
                (Some(10.0), "one"),
                (Some(11.5), "two\u{fffd}"),
                (Some(11.5), "three")
            ]
        );
        assert_eq!((excerpts.cut, &excerpts.pictures[0].png[..]), (0, "cG5n"));
    }

    #[test]
    fn a_long_log_is_cut_at_a_line_and_says_so() {
        let log = "123456789\n".repeat(30_000);
        let folder = folder(log.as_bytes(), "5.0 0\n6.0 299990\n");
        for passed in [true, false] {
            let excerpts = EvidenceExcerpt::from(folder.path(), passed).unwrap();
            assert_eq!(excerpts.serial.len() as u64 * 10 + excerpts.cut, 300_000);
            assert!(excerpts.serial.iter().all(|said| said.text == "123456789"));
            assert_eq!(excerpts.serial[0].at, Some(5.0));
            assert_eq!(excerpts.serial.last().unwrap().at, Some(6.0));
        }
    }

    #[test]
    fn of_a_folder_that_is_gone_there_is_nothing() {
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
