//! A file as a disk that knows what was not flushed.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use fastrand::Rng;
use serde::Serialize;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;
/// What may be unflushed, in bytes. A disk whose cache is full writes its oldest part for good.
const CACHE: usize = 64 << 20;

/// A disk with a write cache.
pub(super) struct Disk {
    file: File,
    size: u64,
    /// Oldest first.
    unflushed: VecDeque<Write>,
    /// Bytes of all of them.
    held: usize,
    cache: usize,
    off: bool,
}

/// A write since the last flush.
struct Write {
    offset: u64,
    /// What stood there.
    before: Vec<u8>,
    /// Answered only when it was on the medium (FUA), so it outlives a power cut.
    durable: bool,
}

/// What a disk had not flushed when its power was cut, and what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Writes that were not flushed.
    pub writes: usize,
    /// Sectors (512 bytes) in them.
    pub sectors: usize,
    /// Of those, the ones that are lost.
    pub lost: usize,
}

/// What becomes of a write.
enum Fate {
    Kept,
    Lost,
    /// Each sector by itself.
    Torn,
}

impl Disk {
    /// A plain file; what it holds counts as flushed.
    ///
    /// # Errors
    /// It cannot be opened.
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

    /// Bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether its power was cut.
    pub(super) fn is_off(&self) -> bool {
        self.off
    }

    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.check(offset, length)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Writes, so that a power cut can lose it unless it is `durable`.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        let before = self.read(offset, bytes.len())?;
        self.held += before.len();
        self.unflushed.push_back(Write {
            offset,
            before,
            durable,
        });
        self.make_room();
        self.file.write_all_at(bytes, offset)
    }

    fn make_room(&mut self) {
        while self.held > self.cache
            && let Some(oldest) = self.unflushed.pop_front()
        {
            self.held -= oldest.before.len();
        }
    }

    /// All that was written is there for good.
    pub(super) fn flush(&mut self) {
        self.unflushed.clear();
        self.held = 0;
    }

    pub(super) fn switch_off(&mut self) {
        self.off = true;
    }

    /// Puts the file back to the last flush, and writes again what the pattern keeps.
    pub(super) fn lose(&mut self, pattern: &mut Rng) -> io::Result<Loss> {
        let mut again = Vec::new();
        // Back to front: what a later write had found is what an earlier one had written.
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

    /// One write, kept, lost or torn.
    fn settle(
        &self,
        write: &Write,
        bytes: &[u8],
        draw: &mut Rng,
        loss: &mut Loss,
    ) -> io::Result<()> {
        let fate = match draw.u8(..3) {
            _ if write.durable => Fate::Kept,
            0 => Fate::Kept,
            1 => Fate::Lost,
            _ => Fate::Torn,
        };
        loss.writes += 1;
        for (number, sector) in (0_u64..).zip(bytes.chunks(SECTOR)) {
            let kept = match fate {
                Fate::Kept => true,
                Fate::Lost => false,
                Fate::Torn => draw.bool(),
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
        match end.is_some_and(|end| end <= self.size) {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTORS: u64 = 64;

    /// A disk of zeroes.
    fn disk() -> Disk {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SECTORS * SECTOR as u64).unwrap();
        Disk::open(file.path()).unwrap()
    }

    /// Writes sectors full of one byte.
    fn fill(disk: &mut Disk, sector: u64, count: usize, byte: u8, durable: bool) {
        let bytes = vec![byte; count * SECTOR];
        disk.write(sector * SECTOR as u64, &bytes, durable).unwrap();
    }

    /// The first byte of each sector, all of whose bytes must be the same.
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
    fn what_was_flushed_stays_and_of_the_rest_some_is_lost() {
        let mut disk = disk();
        (0..32).for_each(|n| fill(&mut disk, n, 1, 1, false));
        disk.flush();
        (16..64).for_each(|n| fill(&mut disk, n, 1, 2, false));
        assert_eq!(
            sectors(&disk)[16..],
            [2; 48],
            "the guest sees what it wrote"
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
    fn a_seed_draws_the_same_pattern_again_and_others_draw_others() {
        let after = |seed| {
            let mut disk = disk();
            (0..16).for_each(|n| fill(&mut disk, n * 4, 4, 3, false));
            disk.lose(&mut Rng::with_seed(seed)).unwrap();
            sectors(&disk)
        };
        assert_eq!(after(1), after(1));
        assert_ne!(after(1), after(2));
    }

    /// Which of the values that a sector had in turn outlived a cut, over many seeds.
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
    fn of_writes_to_the_same_place_any_may_be_the_last_that_is_kept() {
        let twice = |disk: &mut Disk| {
            fill(disk, 0, 2, 1, false);
            fill(disk, 0, 1, 2, false);
        };
        assert_eq!(outcomes(twice), [0, 1, 2]);
    }

    #[test]
    fn a_durable_write_is_kept_over_all_before_it() {
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
    fn a_write_of_many_sectors_may_be_torn_between_them() {
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
    fn a_full_cache_writes_its_oldest_part_for_good() {
        let mut disk = disk();
        disk.cache = 4 * SECTOR;
        (0..64).for_each(|n| fill(&mut disk, n, 1, 1, false));
        let loss = disk.lose(&mut Rng::with_seed(3)).unwrap();
        assert_eq!(loss.writes, 4);
        assert_eq!(sectors(&disk)[..60], [1; 60]);
    }

    #[test]
    fn nothing_is_lost_twice() {
        let mut disk = disk();
        fill(&mut disk, 0, 8, 1, false);
        disk.lose(&mut Rng::with_seed(1)).unwrap();
        let after = sectors(&disk);
        assert_eq!(disk.lose(&mut Rng::with_seed(2)).unwrap(), Loss::default());
        assert_eq!(sectors(&disk), after);
    }

    #[test]
    fn beyond_the_end_is_refused() {
        let mut disk = disk();
        let end = disk.size();
        assert!(disk.read(end - 1, 2).is_err() && disk.read(u64::MAX, 2).is_err());
        assert!(disk.write(end, &[1], false).is_err());
        assert_eq!(disk.file.metadata().unwrap().len(), end);
    }
}
