//! Whether a block device is blank, for the decision to format it.

use std::io::{Read, Result};
use std::time::{Duration, Instant};

/// A disk that begins with these bytes asks to be formatted: a convention of RancherOS and boot2docker.
const MARK: &[u8] = b"boot2docker, please format-me";

/// How much of the disk must be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Its first MiB.
    Beginning,
    /// All of it.
    Whole,
}

/// The content of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// It begins with the mark.
    Marked,
    /// It has only zero bytes.
    Zero,
    /// It has other bytes.
    Data {
        /// The offset in bytes of the MiB that has the first of them.
        near: u64,
    },
    /// The disk could not be read to its end before the timeout.
    TooLarge,
}

/// The number of bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// The timeout for reading a whole disk: the boot waits for it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a disk from its beginning.
pub(super) fn of(mut disk: impl Read, extent: Extent) -> Result<Content> {
    let begin = Instant::now();
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut near = 0;
    loop {
        chunk.clear();
        let read = disk.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
        if near == 0 && chunk.starts_with(MARK) {
            return Ok(Content::Marked);
        }
        if !is_zero(&chunk) {
            return Ok(Content::Data { near });
        }
        if read == 0 || extent == Extent::Beginning {
            return Ok(Content::Zero);
        }
        if begin.elapsed() > TIMEOUT {
            return Ok(Content::TooLarge);
        }
        near += read as u64;
    }
}

/// Compares 16 bytes at a time, because a whole disk is read, possibly on an emulated machine.
fn is_zero(chunk: &[u8]) -> bool {
    let (words, rest) = chunk.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(mib: usize, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut disk = vec![0; mib << 20];
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        disk
    }

    #[test]
    fn content_is_data_when_one_byte_is_not_zero() {
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
    fn content_depends_on_the_first_mib_only_when_the_extent_is_the_beginning() {
        let late = disk(2, 1 << 20, &[1]);
        let found = of(late.as_slice(), Extent::Beginning).unwrap();
        assert_eq!(found, Content::Zero);
        let found = of(disk(2, 0, &[]).as_slice(), Extent::Whole).unwrap();
        assert_eq!(found, Content::Zero);
    }

    #[test]
    fn content_is_marked_when_the_mark_is_at_the_beginning() {
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
