//! The admission queue: a folder with a locked file for each running machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::request::{Host, Reservation, ResourceRequest};
use crate::memory;
use base::lock;
use base::private_dir::make_own;
use base::wait::{Poll, wait_until};

/// A folder that all processes of a host share (FHS 3.0, 3.18).
const SHARED: &str = "/tmp";
/// The lock of the process whose turn it is, while it waits.
const TURN: &str = "turn.lock";
/// The extension of the files of machines.
const SLOT: &str = "slot";
/// The timeout of admission. Running machines have timeouts of their own, which are shorter.
const TIMEOUT: Duration = Duration::from_secs(4 * 3600);
/// The timeout of the turn if the caller does not wait for resources: that of a process that takes them.
const TIMEOUT_NOW: Duration = Duration::from_secs(2);
/// The timeout if no machine of this user runs: other programs may free resources.
const TIMEOUT_ALONE: Duration = Duration::from_secs(60);

/// The queue of machines on this host.
#[derive(Debug, Clone)]
pub struct AdmissionQueue {
    folder: PathBuf,
}

/// A reservation for a machine, until this value is dropped.
#[derive(Debug)]
pub struct Admitted {
    file: PathBuf,
    _lock: Flock<File>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // If it remains, it is not locked, and the next process that looks removes it.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The content of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Slot {
    pid: u32,
    #[serde(flatten)]
    request: ResourceRequest,
}

impl AdmissionQueue {
    /// The queue of this user on this host. It does not depend on `TMPDIR`, which can differ between jobs.
    ///
    /// # Errors
    /// The folder cannot be created, or its path belongs to another user.
    pub fn of_host() -> io::Result<Self> {
        let name = format!("harness-{}-admission", Uid::current());
        Self::in_folder(Path::new(SHARED).join(name))
    }

    /// A queue in another folder.
    ///
    /// # Errors
    /// The folder cannot be created, or is not private to this user.
    pub fn in_folder(folder: PathBuf) -> io::Result<Self> {
        make_own(&folder)?;
        Ok(Self { folder })
    }

    /// Waits for the turn, then until the host has the resources. `host` returns what it has.
    ///
    /// # Errors
    /// The folder cannot be written, or resources are missing although no machine of this user runs.
    pub async fn admit(
        &self,
        wanted: ResourceRequest,
        host: impl Fn() -> Option<Host>,
    ) -> io::Result<Admitted> {
        let _turn = self.turn(TIMEOUT).await?;
        let start = Instant::now();
        let look = async || self.look(wanted, host(), start.elapsed());
        let admitted = wait_until("resources for the machine", TIMEOUT, look);
        admitted.await.map_err(io::Error::other)
    }

    /// Admits a machine if the host has the resources now. Does not wait for others to end.
    ///
    /// # Errors
    /// The folder cannot be written, resources are missing, or another process waits for resources.
    pub async fn admit_now(
        &self,
        wanted: ResourceRequest,
        host: Option<Host>,
    ) -> io::Result<Admitted> {
        let _turn = self.turn(TIMEOUT_NOW).await?;
        match self.look(wanted, host, Duration::ZERO) {
            Poll::Ready(admitted) => Ok(admitted),
            Poll::NotYet(why) | Poll::Failed(why) => Err(io::Error::other(why)),
        }
    }

    /// Waits for the turn, which one process holds at a time.
    async fn turn(&self, limit: Duration) -> io::Result<Flock<File>> {
        let file = self.folder.join(TURN);
        let holds = "has the turn, and waits for resources";
        let take = || lock::take(&file, FlockArg::LockExclusiveNonblock);
        let mut turn = lock::wait("its turn", &file, limit, holds, take).await?;
        lock::sign(&mut turn)?;
        Ok(turn)
    }

    fn look(
        &self,
        wanted: ResourceRequest,
        host: Option<Host>,
        waited: Duration,
    ) -> Poll<Admitted> {
        let running = match self.running() {
            Ok(running) => running,
            Err(error) => return Poll::Failed(self.write_error(&error)),
        };
        match host.map_or(Ok(()), |host| host.can(wanted, &running)) {
            Ok(()) => match self.enter(wanted) {
                Ok(admitted) => Poll::Ready(admitted),
                Err(error) => Poll::Failed(self.write_error(&error)),
            },
            Err(reason) if running.is_empty() && waited > TIMEOUT_ALONE => Poll::Failed(format!(
                "{reason}, and no machine of this user uses the rest"
            )),
            Err(reason) => Poll::NotYet(reason),
        }
    }

    fn write_error(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.folder.display())
    }

    /// Adds a machine. The caller has the turn, so no other process looks at the same time.
    fn enter(&self, request: ResourceRequest) -> io::Result<Admitted> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (pid, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let file = self.folder.join(format!("{pid}-{number}.{SLOT}"));
        let mut held = lock::take(&file, FlockArg::LockExclusive)?;
        let slot = serde_json::to_string(&Slot { pid, request })?;
        held.set_len(0)?;
        held.write_all(slot.as_bytes())?;
        Ok(Admitted { file, _lock: held })
    }

    /// The reservations by process; removes files whose owner exited.
    fn running(&self) -> io::Result<Vec<Reservation>> {
        let mut reserved = BTreeMap::<u32, ResourceRequest>::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let file = entry?.path();
            if file.extension().is_none_or(|end| end != SLOT) {
                continue;
            }
            if let Some(Slot { pid, request }) = live(&file) {
                let all = reserved
                    .entry(pid)
                    .or_insert(ResourceRequest { memory: 0, cpus: 0 });
                all.memory += request.memory;
                all.cpus += request.cpus;
            }
        }
        let reservation = |(pid, reserved)| Reservation {
            reserved,
            in_use: memory::of_children(pid),
        };
        Ok(reserved.into_iter().map(reservation).collect())
    }
}

/// The content of a file, if its owner still runs.
fn live(file: &Path) -> Option<Slot> {
    // Opened without creating it: its owner may have just removed it.
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
