//! Owned processes: QEMU ends when its owner ends, for any reason.
//!
//! The kernel kills a child when its parent *thread* ends (`PR_SET_PDEATHSIG`). Therefore each process has
//! a thread of its own, which starts it, lives as long as it, and alone reaps it. Until a process is
//! reaped, the kernel does not reuse its PID, so a signal never reaches another process.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getppid};
use tokio::sync::watch;

/// A running program, which is killed when this value is dropped and when this process ends.
pub struct Owned {
    pid: Pid,
    /// Locked while the process is reaped or killed; true after it is reaped.
    reaped: Arc<Mutex<bool>>,
    ended: watch::Receiver<Option<ExitStatus>>,
    owner: Option<JoinHandle<()>>,
}

impl Owned {
    /// Starts `command`.
    ///
    /// # Errors
    /// The program cannot be started.
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
            .map_err(|_| io::Error::other("the owner thread ended early"))??;
        Ok(Self {
            pid,
            reaped,
            ended,
            owner: Some(owner),
        })
    }

    /// The process ID.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// A channel that receives the exit status when the process ends.
    pub fn ended(&self) -> watch::Receiver<Option<ExitStatus>> {
        self.ended.clone()
    }

    /// Kills the process.
    pub fn kill(&self) {
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reaped {
            // An error means that it has just ended by itself.
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

/// An exit status as text for messages.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            // The memory of a guest can be a file.
            Ok(signal @ Signal::SIGBUS) => format!("killed by {signal}: is the disk full?"),
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {signal}"),
        },
        (None, None) => "unknown exit status".into(),
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
    // The command holds this process's copies of the child's file descriptors, which must be closed now.
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

/// Waits without reaping, then reaps under the lock.
fn wait(mut child: Child, pid: Pid, reaped: &Mutex<bool>) -> ExitStatus {
    while let Err(nix::errno::Errno::EINTR) =
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
    {}
    let mut reaped = reaped.lock().unwrap_or_else(PoisonError::into_inner);
    *reaped = true;
    child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0))
}

/// Makes the kernel kill the child with its parent, and checks that the parent did not end before this
/// was set.
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
            if getppid() == parent {
                Ok(())
            } else {
                Err(io::ErrorKind::BrokenPipe.into())
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
    fn process_is_killed_when_its_owner_is_dropped() {
        let owned = Owned::spawn(sleeper()).unwrap();
        let pid = owned.pid;
        assert!(kill(pid, None).is_ok());
        drop(owned);
        assert!(kill(pid, None).is_err());
    }

    #[tokio::test]
    async fn ended_channel_has_the_exit_status() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]);
        let owned = Owned::spawn(command).unwrap();
        let mut ended = owned.ended();
        let status = ended.wait_for(Option::is_some).await.unwrap().unwrap();
        assert_eq!(describe(status), "exit status 7");
        owned.kill();
    }

    #[test]
    fn spawn_fails_when_the_program_does_not_exist() {
        assert!(Owned::spawn(Command::new("/no/such/program")).is_err());
    }
}
