//! The machine of a red trial, kept in its evidence as it stood.
//!
//! It is written in a folder beside, and moved to its place when it is whole: whatever ends the
//! harness meanwhile, nothing is taken for a machine that is none. What a killed harness left is
//! removed at the next sweep, as are the machines of old evidence.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::evidence::Evidence;
use events::{Fate, What};
use machine::{KeyPair, Machine};

use super::{Log, Settings, Trial};

/// The kept machine in an evidence folder.
pub const MACHINE: &str = "machine";
/// While it is written, or removed.
const PART: &str = "machine.part";
/// What lets its owner in; readable by its owner alone.
pub const KEY: &str = "login-key";
/// So many machines are kept, the newest.
const MOST: usize = 10;
/// A limit for each of them in MiB, unless told.
pub const LIMIT_MIB: u64 = 1024;
/// The variable with the limit in MiB.
pub const LIMIT_VARIABLE: &str = "HARNESS_MACHINE_LIMIT";

/// The limit in bytes, of one in MiB where it is told.
pub fn limit(told: Option<u64>) -> u64 {
    told.unwrap_or(LIMIT_MIB).saturating_mul(1 << 20)
}

impl Trial {
    /// Keeps the machine as it stands, which ends it.
    pub(super) async fn keep(
        &self,
        machine: &Machine,
        keys: &KeyPair,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Fate {
        if settings.machine_limit == 0 {
            return Fate::no("the limit is 0");
        }
        let keys = self.scenario.machine.ssh_key.then_some(keys);
        let kept = keep(machine, keys, log.evidence, settings.machine_limit).await;
        let fate = match kept {
            Ok(bytes) => Fate::Yes {
                bytes,
                folder: log.evidence.folder().to_path_buf(),
            },
            Err(why) => Fate::No { why },
        };
        if let Fate::No { why } = &fate {
            log.tell(What::Note {
                trial: Some(log.trial.clone()),
                text: format!("the machine is not kept: {why}"),
            });
        }
        sweep(&settings.evidence);
        fate
    }
}

async fn keep(
    machine: &Machine,
    keys: Option<&KeyPair>,
    evidence: &Evidence,
    limit: u64,
) -> Result<u64, String> {
    let part = Part::begin(evidence).map_err(|error| error.to_string())?;
    let bytes = machine.keep(&part.folder, limit).await;
    let bytes = bytes.map_err(|error| error.to_string())?;
    let finish = || {
        if let Some(keys) = keys {
            write_key(&part.folder.join(KEY), &keys.private)?;
        }
        part.finish(&evidence.file(MACHINE))
    };
    finish().map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Writes a private key for its owner alone.
///
/// # Errors
/// The file cannot be written.
pub fn write_key(file: &Path, private: &str) -> io::Result<()> {
    let mut key = File::create(file)?;
    key.set_permissions(Permissions::from_mode(0o600))?;
    key.write_all(private.as_bytes())
}

/// The folder of a machine that is not whole yet; removed unless it is finished.
struct Part {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl Part {
    fn begin(evidence: &Evidence) -> io::Result<Self> {
        let folder = evidence.file(PART);
        let _gate = gate(folder.ancestors().nth(2).unwrap_or(&folder))?;
        DirBuilder::new().mode(0o700).create(&folder)?;
        let lock = lock(&folder, FlockArg::LockExclusiveNonblock)?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    fn finish(&self, place: &Path) -> io::Result<()> {
        std::fs::rename(&self.folder, place)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Gone already where it was finished.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn lock(folder: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    Flock::lock(File::open(folder)?, how).map_err(|(_, errno)| errno.into())
}

/// One at a time: a new folder is not yet locked when it appears.
fn gate(parent: &Path) -> io::Result<Flock<File>> {
    lock(parent, FlockArg::LockExclusive)
}

/// Removes what killed processes left half written, and all but the newest machines, unless they
/// are in use. The rest of the evidence stays.
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

/// Removes a folder that nobody has locked; it has another name while that goes on.
fn remove(folder: &Path, evidence: &Path) {
    if let Ok(_free) = lock(folder, FlockArg::LockExclusiveNonblock) {
        let part = evidence.join(PART);
        let gone = std::fs::rename(folder, &part).and_then(|()| std::fs::remove_dir_all(&part));
        if let Err(error) = gone {
            eprintln!("warning: {} stays: {error}", folder.display());
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
    fn what_is_not_finished_leaves_nothing() {
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
    fn what_was_killed_and_what_is_old_goes_and_what_is_used_stays() {
        let parent = tempfile::tempdir().unwrap();
        let folders: Vec<_> = (0..4).map(|_| evidence(parent.path())).collect();
        for (age, one) in (1_u32..).zip(&folders) {
            std::fs::create_dir(one.file(MACHINE)).unwrap();
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(age.into());
            File::open(one.file(MACHINE))
                .unwrap()
                .set_modified(at)
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
