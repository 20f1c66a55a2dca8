//! Locks between processes, each on a file. The kernel releases a lock when its holder ends for any
//! reason. A suspended holder keeps it; therefore a waiter reports the holder, and has a timeout.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use crate::wait::{Poll, wait_until};

/// The timeout for a suspended holder (Ctrl-Z), which may never be resumed.
const SUSPENDED_TIMEOUT: Duration = Duration::from_secs(60);

/// Opens a file, or creates it, and locks it.
pub fn take(file: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    let opened = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(file)?;
    Flock::lock(opened, how).map_err(|(_, errno)| errno.into())
}

/// Writes the process ID of the holder into the lock file, for waiters.
pub fn sign(lock: &mut Flock<File>) -> io::Result<()> {
    lock.set_len(0)?;
    lock.write_all(std::process::id().to_string().as_bytes())
}

/// Repeats `attempt` while it fails because another process holds the lock on `file`. `holds` describes
/// in the error what the holder does.
///
/// # Errors
/// `attempt` failed with another error. With the holder's process ID: the timeout expired, or the holder
/// is suspended.
pub async fn wait<T>(
    what: &str,
    file: &Path,
    limit: Duration,
    holds: &str,
    attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    wait_at_most(what, file, (limit, SUSPENDED_TIMEOUT), holds, attempt).await
}

async fn wait_at_most<T>(
    what: &str,
    file: &Path,
    (limit, suspended_limit): (Duration, Duration),
    holds: &str,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut stopped: Option<Instant> = None;
    let look = async || match attempt() {
        Ok(got) => Poll::Ready(got),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let holder = holder(file);
            let who = holder.map_or("another process".into(), |pid| format!("pid {pid}"));
            let Some(pid) = holder.filter(|pid| is_stopped(*pid)) else {
                stopped = None;
                return Poll::NotYet(format!("{who} {holds}"));
            };
            let since = stopped.get_or_insert_with(Instant::now);
            let seen = format!("{who} {holds}, and is suspended");
            if since.elapsed() > suspended_limit {
                Poll::Failed(format!(
                    "{seen}; hint: resume it (kill -CONT {pid}) or end it"
                ))
            } else {
                Poll::NotYet(seen)
            }
        }
        Err(error) => Poll::Failed(format!("{}: {error}", file.display())),
    };
    wait_until(what, limit, look)
        .await
        .map_err(io::Error::other)
}

/// The process ID of the holder of a lock, if it wrote its ID and still runs.
pub fn holder(file: &Path) -> Option<u32> {
    let pid = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    Path::new("/proc")
        .join(format!("{pid}"))
        .exists()
        .then_some(pid)
}

/// Whether a signal stopped a process (proc_pid_stat(5)).
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state can contain any character.
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state == Some('T')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    #[tokio::test]
    async fn wait_fails_when_the_holder_is_suspended() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.lock");
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id();
        // The lock file names the child as the holder.
        let mut held = take(&file, FlockArg::LockExclusive).unwrap();
        held.write_all(pid.to_string().as_bytes()).unwrap();
        let limits = (Duration::from_secs(60), Duration::ZERO);
        let attempt = || take(&file, FlockArg::LockExclusiveNonblock);
        let wait = wait_at_most("the kettle", &file, limits, "makes tea", attempt);
        let stop = async {
            let raw = Pid::from_raw(pid.try_into().unwrap());
            kill(raw, Signal::SIGSTOP).unwrap();
        };
        let (ended, ()) = tokio::join!(wait, stop);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(
            ended.unwrap_err().to_string(),
            format!(
                "the kettle failed: pid {pid} makes tea, and is suspended; \
                 hint: resume it (kill -CONT {pid}) or end it"
            )
        );
    }

    #[tokio::test]
    async fn wait_takes_the_lock_when_its_holder_releases_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.lock");
        let mut held = take(&file, FlockArg::LockExclusive).unwrap();
        sign(&mut held).unwrap();
        assert_eq!(holder(&file), Some(std::process::id()));
        let mut held = Some(held);
        let attempt = || {
            let attempted = take(&file, FlockArg::LockExclusiveNonblock);
            // Released after the first attempt.
            drop(held.take());
            attempted
        };
        let limit = Duration::from_secs(60);
        wait("the kettle", &file, limit, "makes tea", attempt)
            .await
            .unwrap();
    }
}
