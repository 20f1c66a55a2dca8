//! Failure snapshots: the machine of a failed trial, saved in its evidence.
//!
//! A snapshot is written to a temporary folder and renamed when it is complete, so a killed
//! harness leaves no incomplete snapshot. The next sweep removes partial folders of killed processes and
//! the snapshots of old evidence.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::folder::Evidence;

/// The folder of the snapshot in an evidence folder.
pub(crate) const MACHINE: &str = "machine";
/// The temporary folder while a snapshot is written or removed.
const PART: &str = "machine.part";
/// The private key that the machine accepts; only its owner can read the file.
pub(crate) const KEY: &str = "login-key";
/// How many snapshots are kept: the newest.
const MOST: usize = 10;
/// The default size limit of a snapshot in MiB.
pub const LIMIT_MIB: u64 = 1024;

/// The size limit in bytes, from a limit in MiB or the default.
pub fn limit(mib: Option<u64>) -> u64 {
    mib.unwrap_or(LIMIT_MIB).saturating_mul(1 << 20)
}

/// Writes a private key that only its owner can read.
///
/// # Errors
/// The file cannot be written.
pub fn write_key(file: &Path, private: &str) -> io::Result<()> {
    let mut key = File::create(file)?;
    key.set_permissions(Permissions::from_mode(0o600))?;
    key.write_all(private.as_bytes())
}

/// The folder of an incomplete snapshot. It is removed on drop unless it was finished.
pub(crate) struct Part {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl Part {
    pub(crate) fn begin(evidence: &Evidence) -> io::Result<Self> {
        let folder = evidence.file(PART);
        let _gate = gate(folder.ancestors().nth(2).unwrap_or(&folder))?;
        DirBuilder::new().mode(0o700).create(&folder)?;
        let lock = lock(&folder, FlockArg::LockExclusiveNonblock)?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Moves the complete snapshot to its place.
    pub(crate) fn finish(&self, place: &Path) -> io::Result<()> {
        std::fs::rename(&self.folder, place)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // The folder does not exist any more if it was finished.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn lock(folder: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    Flock::lock(File::open(folder)?, how).map_err(|(_, errno)| errno.into())
}

/// Serialises creation and sweeping: a new folder exists for a moment before it is locked.
fn gate(parent: &Path) -> io::Result<Flock<File>> {
    lock(parent, FlockArg::LockExclusive)
}

/// Removes partial snapshots of killed processes, and all but the newest snapshots, unless they
/// are in use. Keeps the rest of the evidence.
pub fn sweep(parent: &Path) {
    sweep_all_but(MOST, parent);
}

fn sweep_all_but(most: usize, parent: &Path) {
    let Ok(_gate) = gate(parent) else { return };
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut machines = Vec::new();
    for folder in entries.map(|entry| entry.path()) {
        remove(&folder.join(PART), &folder);
        let machine = folder.join(MACHINE);
        if let Ok(age) = machine.metadata().and_then(|found| found.modified()) {
            machines.push((age, folder));
        }
    }
    machines.sort();
    let old = machines.len().saturating_sub(most);
    for (_, folder) in &machines[..old] {
        remove(&folder.join(MACHINE), folder);
    }
}

/// Removes a folder that is not locked. The folder is renamed first, so a partial removal is recognised.
fn remove(folder: &Path, evidence: &Path) {
    if let Ok(_free) = lock(folder, FlockArg::LockExclusiveNonblock) {
        let part = evidence.join(PART);
        let gone = std::fs::rename(folder, &part).and_then(|()| std::fs::remove_dir_all(&part));
        if let Err(error) = gone {
            log::warn!("cannot remove {}: {error}", folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(parent: &Path) -> Evidence {
        Evidence::begin(parent, "q35::x").unwrap()
    }

    #[test]
    fn part_is_removed_on_drop_unless_it_is_finished() {
        let parent = tempfile::tempdir().unwrap();
        let evidence = evidence(parent.path());
        let part = Part::begin(&evidence).unwrap();
        std::fs::write(part.folder.join("state"), "half").unwrap();
        sweep(parent.path());
        assert!(evidence.file(PART).exists(), "it is being written");
        drop(part);
        assert!(!evidence.file(PART).exists());

        let part = Part::begin(&evidence).unwrap();
        std::fs::write(part.folder.join("state"), "all").unwrap();
        part.finish(&evidence.file(MACHINE)).unwrap();
        drop(part);
        assert!(evidence.file(MACHINE).join("state").exists());
    }

    #[test]
    fn sweep_removes_partial_and_old_snapshots_but_not_those_in_use() {
        let parent = tempfile::tempdir().unwrap();
        let folders: Vec<_> = (0..4).map(|_| evidence(parent.path())).collect();
        for (age, one) in (1_u32..).zip(&folders) {
            std::fs::create_dir(one.file(MACHINE)).unwrap();
            let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(age.into());
            File::open(one.file(MACHINE))
                .unwrap()
                .set_modified(modified)
                .unwrap();
        }
        std::fs::create_dir(folders[0].file(PART)).unwrap();
        let used = lock(&folders[1].file(MACHINE), FlockArg::LockShared).unwrap();
        sweep_all_but(1, parent.path());
        assert!(!folders[0].file(PART).exists());
        let there = folders.iter().map(|one| one.file(MACHINE).exists());
        assert_eq!(there.collect::<Vec<_>>(), [false, true, false, true]);
        drop(used);
        sweep_all_but(1, parent.path());
        assert!(!folders[1].file(MACHINE).exists());
    }
}
