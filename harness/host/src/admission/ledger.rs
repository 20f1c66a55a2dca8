//! The ledger of machines that run: a folder with a locked file for each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::demand::{Demand, Host, Share};
use crate::memory;
use base::lock;
use base::private_dir::make_own;
use base::wait::{Poll, wait_until};

/// A folder that every process of a host sees (FHS 3.0, 3.18).
const SHARED: &str = "/tmp";
/// Held by who is next, while it waits.
const TURN: &str = "turn.lock";
/// How files of machines end.
const SLOT: &str = "slot";
/// What runs has deadlines of its own; who waits longer than this waits for nothing.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);
/// What others than us took may come back; not for ever.
const PATIENCE_ALONE: Duration = Duration::from_secs(60);

/// Who runs machines on this host.
#[derive(Debug, Clone)]
pub struct Ledger {
    folder: PathBuf,
}

/// A machine that may run, until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    file: PathBuf,
    _lock: Flock<File>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // If it stays it is not locked, and the next one to look removes it.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// What a file says.
#[derive(Debug, Serialize, Deserialize)]
struct Slot {
    pid: u32,
    #[serde(flatten)]
    demand: Demand,
}

impl Ledger {
    /// That of this user on this host: one for all of the user's jobs, each of which may have another
    /// `TMPDIR`.
    ///
    /// # Errors
    /// The folder cannot be made, or its place belongs to another user.
    pub fn of_host() -> io::Result<Self> {
        let name = format!("harness-{}-admission", Uid::current());
        Self::in_folder(Path::new(SHARED).join(name))
    }

    /// One in a folder of its own.
    ///
    /// # Errors
    /// The folder cannot be made, or is not ours alone.
    pub fn in_folder(folder: PathBuf) -> io::Result<Self> {
        make_own(&folder)?;
        Ok(Self { folder })
    }

    /// Waits for its turn, and then until the host has room. `host` tells what it has.
    ///
    /// # Errors
    /// The ledger cannot be written; there is no room although none of our machines runs.
    pub async fn admit(
        &self,
        wanted: Demand,
        host: impl Fn() -> Option<Host>,
    ) -> io::Result<Admitted> {
        let _turn = self.turn(PATIENCE).await?;
        let begin = Instant::now();
        let look = async || self.look(wanted, host(), begin.elapsed());
        let room = wait_until("room for the machine", PATIENCE, look);
        room.await.map_err(io::Error::other)
    }

    /// To be the next one, which nobody else is meanwhile.
    async fn turn(&self, limit: Duration) -> io::Result<Flock<File>> {
        let file = self.folder.join(TURN);
        let holds = "is next, and waits for room itself";
        let take = || lock::take(&file, FlockArg::LockExclusiveNonblock);
        let mut turn = lock::wait("its turn", &file, limit, holds, take).await?;
        lock::sign(&mut turn)?;
        Ok(turn)
    }

    fn look(&self, wanted: Demand, host: Option<Host>, waited: Duration) -> Poll<Admitted> {
        let running = match self.running() {
            Ok(running) => running,
            Err(error) => return Poll::Failed(self.unwritable(&error)),
        };
        match host.map_or(Ok(()), |host| host.can(wanted, &running)) {
            Ok(()) => match self.enter(wanted) {
                Ok(admitted) => Poll::Ready(admitted),
                Err(error) => Poll::Failed(self.unwritable(&error)),
            },
            Err(why) if running.is_empty() && waited > PATIENCE_ALONE => {
                Poll::Failed(format!("{why}, and no machine of this user has the rest"))
            }
            Err(why) => Poll::NotYet(why),
        }
    }

    fn unwritable(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.folder.display())
    }

    /// Writes a machine down. The turn is ours, so nobody looks meanwhile.
    fn enter(&self, demand: Demand) -> io::Result<Admitted> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (pid, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let file = self.folder.join(format!("{pid}-{number}.{SLOT}"));
        let mut held = lock::take(&file, FlockArg::LockExclusive)?;
        let slot = serde_json::to_string(&Slot { pid, demand })?;
        held.set_len(0)?;
        held.write_all(slot.as_bytes())?;
        Ok(Admitted { file, _lock: held })
    }

    /// What runs, process by process; files whose owner is gone are removed.
    fn running(&self) -> io::Result<Vec<Share>> {
        let mut promised = BTreeMap::<u32, Demand>::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let file = entry?.path();
            if file.extension().is_none_or(|end| end != SLOT) {
                continue;
            }
            if let Some(Slot { pid, demand }) = live(&file) {
                let all = promised.entry(pid).or_insert(Demand { memory: 0, cpus: 0 });
                all.memory += demand.memory;
                all.cpus += demand.cpus;
            }
        }
        let share = |(pid, promised)| Share {
            promised,
            taken: memory::of_children(pid),
        };
        Ok(promised.into_iter().map(share).collect())
    }
}

/// What a file says, if its owner is still there.
fn live(file: &Path) -> Option<Slot> {
    // Not opened to be made: its owner may have removed it just now.
    let opened = File::open(file).ok()?;
    if let Ok(free) = Flock::lock(opened, FlockArg::LockSharedNonblock) {
        let _ = std::fs::remove_file(file);
        drop(free);
        return None;
    }
    serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()
}

#[cfg(test)]
mod tests;
