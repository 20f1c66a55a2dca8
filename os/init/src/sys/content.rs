//! What is on a block device, as far as it matters to whoever would format it.

use std::io::{Read, Result};
use std::time::{Duration, Instant};

/// A disk that begins with this asks to be formatted, as RancherOS and boot2docker always had it.
const MARK: &[u8] = b"boot2docker, please format-me";

/// How much of the disk must be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Its first MiB.
    Beginning,
    /// All of it.
    Whole,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// It begins with the mark.
    Marked,
    /// Nothing but zeros.
    Zero,
    /// Something; the offset is near to where it begins.
    Data {
        /// In bytes.
        near: u64,
    },
    /// There was no time to read all that had to be read.
    TooLarge,
}

/// What is read at a time.
const PIECE: usize = 1 << 20;

/// A boot does not wait longer for a disk to be read through.
const LIMIT: Duration = Duration::from_secs(30);

/// Looks at a disk from its beginning.
pub fn of(mut disk: impl Read, extent: Extent) -> Result<Content> {
    let begin = Instant::now();
    let mut piece = Vec::with_capacity(PIECE);
    let mut near = 0;
    loop {
        piece.clear();
        let read = disk.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        if near == 0 && piece.starts_with(MARK) {
            return Ok(Content::Marked);
        }
        if !is_zero(&piece) {
            return Ok(Content::Data { near });
        }
        if read == 0 || extent == Extent::Beginning {
            return Ok(Content::Zero);
        }
        if begin.elapsed() > LIMIT {
            return Ok(Content::TooLarge);
        }
        near += read as u64;
    }
}

/// Compared in words: a whole disk is read, perhaps on a machine that is emulated.
fn is_zero(piece: &[u8]) -> bool {
    let (words, rest) = piece.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(mib: usize, at: usize, what: &[u8]) -> Vec<u8> {
        let mut disk = vec![0; mib << 20];
        disk[at..at + what.len()].copy_from_slice(what);
        disk
    }

    #[test]
    fn one_byte_anywhere_is_data() {
        for at in [0, 1, 510, (1 << 20) - 1] {
            let disk = disk(2, at, &[1]);
            for extent in [Extent::Beginning, Extent::Whole] {
                let found = of(disk.as_slice(), extent).unwrap();
                assert_eq!(found, Content::Data { near: 0 }, "{at}");
            }
        }
        let late = disk(2, (2 << 20) - 1, &[1]);
        let found = of(late.as_slice(), Extent::Whole).unwrap();
        assert_eq!(found, Content::Data { near: 1 << 20 });
    }

    #[test]
    fn only_the_first_mib_counts_where_only_that_is_asked_for() {
        let late = disk(2, 1 << 20, &[1]);
        let found = of(late.as_slice(), Extent::Beginning).unwrap();
        assert_eq!(found, Content::Zero);
        let found = of(disk(2, 0, &[]).as_slice(), Extent::Whole).unwrap();
        assert_eq!(found, Content::Zero);
    }

    #[test]
    fn a_mark_is_one_at_the_beginning_alone() {
        let marked = disk(1, 0, MARK);
        assert_eq!(
            of(marked.as_slice(), Extent::Whole).unwrap(),
            Content::Marked
        );
        let elsewhere = disk(1, 512, MARK);
        let found = of(elsewhere.as_slice(), Extent::Whole).unwrap();
        assert_eq!(found, Content::Data { near: 0 });
    }
}
