//! The one owner of a QEMU process: whatever ends the owner ends QEMU.
//!
//! The kernel kills the child when its parent *thread* ends (`PR_SET_PDEATHSIG`), so each process
//! gets a thread of its own that starts it, stays as long as it lives, and is the only one that
//! reaps it. Until it is reaped its pid cannot be given to another process, so a kill never meets
//! a stranger.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getppid};
use tokio::sync::watch;

/// A running program that ends with this value, and with this process.
pub struct Owned {
    pid: Pid,
    /// Held while reaping and while killing; true once reaped.
    reaped: Arc<Mutex<bool>>,
    ended: watch::Receiver<Option<ExitStatus>>,
    owner: Option<JoinHandle<()>>,
}

impl Owned {
    /// Starts `command`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(command: Command) -> io::Result<Self> {
        let (started, pid) = mpsc::channel();
        let (end, ended) = watch::channel(None);
        let reaped = Arc::new(Mutex::new(false));
        let theirs = Arc::clone(&reaped);
        let owner = std::thread::Builder::new()
            .name("qemu-owner".into())
            .spawn(move || own(command, &started, &theirs, &end))?;
        let pid = pid
            .recv()
            .map_err(|_| io::Error::other("its owner ended early"))??;
        Ok(Self {
            pid,
            reaped,
            ended,
            owner: Some(owner),
        })
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Changes once, when it has ended.
    pub fn ended(&self) -> watch::Receiver<Option<ExitStatus>> {
        self.ended.clone()
    }

    /// Ends it now.
    pub fn kill(&self) {
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reaped {
            // It may have ended by itself meanwhile; then there is nothing to end.
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.kill();
        if let Some(owner) = self.owner.take() {
            let _ = owner.join();
        }
    }
}

/// How a process ended, for messages.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            // Where its memory is a file.
            Ok(signal @ Signal::SIGBUS) => format!("killed by {signal}: is the disk full?"),
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {signal}"),
        },
        (None, None) => "an unknown end".into(),
    }
}

fn own(
    mut command: Command,
    started: &mpsc::Sender<io::Result<Pid>>,
    reaped: &Mutex<bool>,
    end: &watch::Sender<Option<ExitStatus>>,
) {
    die_with_parent(&mut command);
    let spawned = command.spawn();
    // The command holds our copies of the child's ends of its lines: they must close now.
    drop(command);
    match spawned {
        Err(error) => drop(started.send(Err(error))),
        Ok(child) => {
            let pid = Pid::from_raw(child.id().cast_signed());
            let _ = started.send(Ok(pid));
            end.send_replace(Some(wait(child, pid, reaped)));
        }
    }
}

/// Waits without reaping first, then reaps under the lock.
fn wait(mut child: Child, pid: Pid, reaped: &Mutex<bool>) -> ExitStatus {
    while let Err(nix::errno::Errno::EINTR) =
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
    {}
    let mut reaped = reaped.lock().unwrap_or_else(PoisonError::into_inner);
    *reaped = true;
    child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0))
}

/// Asks the kernel to kill the child with its parent, and makes sure that the parent did not end
/// before it was asked.
#[allow(
    unsafe_code,
    reason = "PR_SET_PDEATHSIG can only be set in the child itself"
)]
fn die_with_parent(command: &mut Command) {
    let parent = Pid::this();
    // SAFETY: the hook makes two system calls and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            match getppid() == parent {
                true => Ok(()),
                false => Err(io::ErrorKind::BrokenPipe.into()),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("600");
        command
    }

    #[test]
    fn dropping_ends_it() {
        let owned = Owned::spawn(sleeper()).unwrap();
        let pid = owned.pid;
        assert!(kill(pid, None).is_ok());
        drop(owned);
        assert!(kill(pid, None).is_err());
    }

    #[tokio::test]
    async fn its_end_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]);
        let owned = Owned::spawn(command).unwrap();
        let mut ended = owned.ended();
        let status = ended.wait_for(Option::is_some).await.unwrap().unwrap();
        assert_eq!(describe(status), "exit status 7");
        owned.kill();
    }

    #[test]
    fn what_cannot_be_started_says_so() {
        assert!(Owned::spawn(Command::new("/no/such/program")).is_err());
    }
}
