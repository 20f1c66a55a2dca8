//! A file used as a disk that tracks writes which were not flushed.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use fastrand::Rng;
use serde::Serialize;

/// Unit that a disk writes atomically, in bytes.
const SECTOR: usize = 512;
/// Maximum of unflushed bytes. A disk with a full cache makes its oldest writes durable.
const CACHE: usize = 64 << 20;

/// A disk with a write cache.
pub(super) struct Disk {
    file: File,
    size: u64,
    /// Oldest first.
    unflushed: VecDeque<Write>,
    /// Total bytes of unflushed writes.
    held: usize,
    cache: usize,
    off: bool,
}

/// A write since the last flush.
struct Write {
    offset: u64,
    /// Bytes that the write replaced.
    before: Vec<u8>,
    /// Forced unit access (FUA): answered only after it was on the medium, so it survives a power cut.
    durable: bool,
}

/// Unflushed writes at a power cut, and their losses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Number of unflushed writes.
    pub writes: usize,
    /// Number of their sectors (512 bytes).
    pub sectors: usize,
    /// Number of lost sectors.
    pub lost: usize,
}

/// What a power cut does to a write.
enum Outcome {
    Kept,
    Lost,
    /// Decided for each sector separately.
    Torn,
}

impl Disk {
    /// Opens a raw file; its content counts as flushed.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(file: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(file)?;
        Ok(Self {
            size: file.metadata()?.len(),
            file,
            unflushed: VecDeque::new(),
            held: 0,
            cache: CACHE,
            off: false,
        })
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the power was cut.
    pub(super) fn is_off(&self) -> bool {
        self.off
    }

    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.check(offset, length)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Writes bytes; a power cut may lose them unless the write is `durable`.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        let before = self.read(offset, bytes.len())?;
        self.held += before.len();
        self.unflushed.push_back(Write {
            offset,
            before,
            durable,
        });
        self.evict_oldest();
        self.file.write_all_at(bytes, offset)
    }

    fn evict_oldest(&mut self) {
        while self.held > self.cache
            && let Some(oldest) = self.unflushed.pop_front()
        {
            self.held -= oldest.before.len();
        }
    }

    /// Makes all writes durable.
    pub(super) fn flush(&mut self) {
        self.unflushed.clear();
        self.held = 0;
    }

    pub(super) fn cut_power(&mut self) {
        self.off = true;
    }

    /// Restores the file to the last flush, and writes again what the pattern keeps.
    pub(super) fn lose(&mut self, pattern: &mut Rng) -> io::Result<Loss> {
        let mut again = Vec::new();
        // In reverse: the bytes that a later write replaced are those of an earlier one.
        while let Some(write) = self.unflushed.pop_back() {
            let bytes = self.read(write.offset, write.before.len())?;
            self.file.write_all_at(&write.before, write.offset)?;
            again.push((write, bytes));
        }
        self.held = 0;
        let mut loss = Loss::default();
        for (write, bytes) in again.iter().rev() {
            self.settle(write, bytes, pattern, &mut loss)?;
        }
        Ok(loss)
    }

    /// Keeps, loses or tears one write.
    fn settle(
        &self,
        write: &Write,
        bytes: &[u8],
        draw: &mut Rng,
        loss: &mut Loss,
    ) -> io::Result<()> {
        let outcome = match draw.u8(..3) {
            _ if write.durable => Outcome::Kept,
            0 => Outcome::Kept,
            1 => Outcome::Lost,
            _ => Outcome::Torn,
        };
        loss.writes += 1;
        for (number, sector) in (0_u64..).zip(bytes.chunks(SECTOR)) {
            let kept = match outcome {
                Outcome::Kept => true,
                Outcome::Lost => false,
                Outcome::Torn => draw.bool(),
            };
            loss.sectors += 1;
            if kept {
                let place = write.offset + number * SECTOR as u64;
                self.file.write_all_at(sector, place)?;
            } else {
                loss.lost += 1;
            }
        }
        Ok(())
    }

    fn check(&self, offset: u64, length: usize) -> io::Result<()> {
        let end = offset.checked_add(length as u64);
        if end.is_some_and(|end| end <= self.size) {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTORS: u64 = 64;

    /// A disk of zeros.
    fn disk() -> Disk {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SECTORS * SECTOR as u64).unwrap();
        Disk::open(file.path()).unwrap()
    }

    /// Fills sectors with one byte.
    fn fill(disk: &mut Disk, sector: u64, count: usize, byte: u8, durable: bool) {
        let bytes = vec![byte; count * SECTOR];
        disk.write(sector * SECTOR as u64, &bytes, durable).unwrap();
    }

    /// The first byte of each sector; asserts that all bytes of a sector are equal.
    fn sectors(disk: &Disk) -> Vec<u8> {
        let all = disk.read(0, SECTORS as usize * SECTOR).unwrap();
        let one = |sector: &[u8]| {
            assert!(
                sector.iter().all(|byte| *byte == sector[0]),
                "a torn sector"
            );
            sector[0]
        };
        all.chunks(SECTOR).map(one).collect()
    }

    #[test]
    fn flushed_writes_persist_and_some_of_the_others_are_lost() {
        let mut disk = disk();
        (0..32).for_each(|n| fill(&mut disk, n, 1, 1, false));
        disk.flush();
        (16..64).for_each(|n| fill(&mut disk, n, 1, 2, false));
        assert_eq!(
            sectors(&disk)[16..],
            [2; 48],
            "the guest reads what it wrote"
        );
        let loss = disk.lose(&mut Rng::with_seed(7)).unwrap();
        let after = sectors(&disk);
        assert_eq!(after[..16], [1; 16]);
        assert!(after[16..32].iter().all(|byte| [1, 2].contains(byte)));
        assert!(after[32..].iter().all(|byte| [0, 2].contains(byte)));
        let kept = after.iter().filter(|byte| **byte == 2).count();
        assert_eq!((loss.writes, loss.sectors, loss.lost), (48, 48, 48 - kept));
        assert!(kept > 0 && loss.lost > 0, "{loss:?}");
    }

    #[test]
    fn same_seed_gives_the_same_losses() {
        let after = |seed| {
            let mut disk = disk();
            (0..16).for_each(|n| fill(&mut disk, n * 4, 4, 3, false));
            disk.lose(&mut Rng::with_seed(seed)).unwrap();
            sectors(&disk)
        };
        assert_eq!(after(1), after(1));
        assert_ne!(after(1), after(2));
    }

    /// The values of the first sector after power cuts with many seeds.
    fn outcomes(writes: impl Fn(&mut Disk)) -> Vec<u8> {
        let one = |seed| {
            let mut disk = disk();
            writes(&mut disk);
            disk.lose(&mut Rng::with_seed(seed)).unwrap();
            sectors(&disk)[0]
        };
        let mut seen: Vec<u8> = (0..200).map(one).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    #[test]
    fn any_of_several_writes_to_a_sector_may_be_the_last_one_kept() {
        let twice = |disk: &mut Disk| {
            fill(disk, 0, 2, 1, false);
            fill(disk, 0, 1, 2, false);
        };
        assert_eq!(outcomes(twice), [0, 1, 2]);
    }

    #[test]
    fn durable_write_survives_all_writes_before_it() {
        let durable = |disk: &mut Disk| {
            fill(disk, 0, 1, 1, false);
            fill(disk, 0, 1, 2, true);
        };
        assert_eq!(outcomes(durable), [2]);
        let overwritten = |disk: &mut Disk| {
            durable(disk);
            fill(disk, 0, 1, 3, false);
        };
        assert_eq!(outcomes(overwritten), [2, 3]);
    }

    #[test]
    fn write_may_be_torn_between_its_sectors() {
        let torn = |seed| {
            let mut disk = disk();
            fill(&mut disk, 0, 64, 1, false);
            let loss = disk.lose(&mut Rng::with_seed(seed)).unwrap();
            assert_eq!((loss.writes, loss.sectors), (1, 64));
            assert_eq!(
                sectors(&disk).iter().filter(|b| **b == 0).count(),
                loss.lost
            );
            loss.lost
        };
        let lost: Vec<usize> = (0..30).map(torn).collect();
        assert!(lost.contains(&0) && lost.contains(&64), "{lost:?}");
        assert!(lost.iter().any(|n| (1..64).contains(n)), "{lost:?}");
    }

    #[test]
    fn full_cache_makes_its_oldest_writes_durable() {
        let mut disk = disk();
        disk.cache = 4 * SECTOR;
        (0..64).for_each(|n| fill(&mut disk, n, 1, 1, false));
        let loss = disk.lose(&mut Rng::with_seed(3)).unwrap();
        assert_eq!(loss.writes, 4);
        assert_eq!(sectors(&disk)[..60], [1; 60]);
    }

    #[test]
    fn second_power_cut_loses_nothing() {
        let mut disk = disk();
        fill(&mut disk, 0, 8, 1, false);
        disk.lose(&mut Rng::with_seed(1)).unwrap();
        let after = sectors(&disk);
        assert_eq!(disk.lose(&mut Rng::with_seed(2)).unwrap(), Loss::default());
        assert_eq!(sectors(&disk), after);
    }

    #[test]
    fn access_beyond_the_end_is_refused() {
        let mut disk = disk();
        let end = disk.size();
        assert!(disk.read(end - 1, 2).is_err() && disk.read(u64::MAX, 2).is_err());
        assert!(disk.write(end, &[1], false).is_err());
        assert_eq!(disk.file.metadata().unwrap().len(), end);
    }
}
