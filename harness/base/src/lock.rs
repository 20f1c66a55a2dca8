//! Locks between processes, each on a file. The kernel lets go of one when its holder ends, however
//! that happens; a holder that stands still keeps it, so that nobody waits without a word or an end.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use crate::wait::{Poll, wait_until};

/// Who was stopped (Ctrl-Z) is waited for no longer than this: nobody may be there to wake it.
const STANDS_STILL: Duration = Duration::from_secs(60);

/// Opens, or makes, and locks a file.
pub fn take(file: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    let opened = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(file)?;
    Flock::lock(opened, how).map_err(|(_, errno)| errno.into())
}

/// Writes down who holds a lock, for those who wait.
pub fn sign(lock: &mut Flock<File>) -> io::Result<()> {
    lock.set_len(0)?;
    lock.write_all(std::process::id().to_string().as_bytes())
}

/// Tries again while what is tried would have to wait for the lock on `file`. `holds` says what its
/// holder does meanwhile.
///
/// # Errors
/// Another error than that; or, with the holder's process id, the limit passed, or the holder stands
/// still.
pub async fn wait<T>(
    what: &str,
    file: &Path,
    limit: Duration,
    holds: &str,
    attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    wait_at_most(what, file, (limit, STANDS_STILL), holds, attempt).await
}

async fn wait_at_most<T>(
    what: &str,
    file: &Path,
    (limit, still): (Duration, Duration),
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
            match since.elapsed() > still {
                true => Poll::Failed(format!("{seen}; resume it (kill -CONT {pid}) or end it")),
                false => Poll::NotYet(seen),
            }
        }
        Err(error) => Poll::Failed(format!("{}: {error}", file.display())),
    };
    wait_until(what, limit, look)
        .await
        .map_err(io::Error::other)
}

/// Who holds a lock, if it signed it and is still there.
pub fn holder(file: &Path) -> Option<u32> {
    let pid = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    Path::new("/proc")
        .join(format!("{pid}"))
        .exists()
        .then_some(pid)
}

/// Whether a signal stopped a process, see proc_pid_stat(5).
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may hold anything.
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
    async fn who_stands_still_is_not_waited_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.lock");
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id();
        // In the name of the child.
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
                 resume it (kill -CONT {pid}) or end it"
            )
        );
    }

    #[tokio::test]
    async fn the_lock_is_had_when_its_holder_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.lock");
        let mut held = take(&file, FlockArg::LockExclusive).unwrap();
        sign(&mut held).unwrap();
        assert_eq!(holder(&file), Some(std::process::id()));
        let mut held = Some(held);
        let attempt = || {
            let tried = take(&file, FlockArg::LockExclusiveNonblock);
            // After the first look.
            drop(held.take());
            tried
        };
        let limit = Duration::from_secs(60);
        wait("the kettle", &file, limit, "makes tea", attempt)
            .await
            .unwrap();
    }
}
