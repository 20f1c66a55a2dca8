//! The loop of a connection's thread, driven by poll(2): runs one command after another, and moves the
//! bytes of all forwarded connections meanwhile.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot;

use super::client::Job;
use super::connection::{Connection, SshError, timeout};
use super::exec::{Command, Progress};
use crate::error::MachineError;
use crate::output::Output;
use crate::ssh::forward::Forwarding;

/// Channel to the caller of a command.
type Reply = oneshot::Sender<Result<Output, MachineError>>;

/// A pair of sockets: one wakes the thread, the other is polled by it.
pub(super) fn waker() -> io::Result<(UnixStream, UnixStream)> {
    let (waker, woken) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((waker, woken))
}

/// Wakes the thread. If the socket is full, a wake-up is pending already.
pub(super) fn wake(mut waker: &UnixStream) {
    let _ = waker.write(&[0]);
}

/// Serves until the last handle is dropped or the connection ends. Callers whose job is not done then
/// see their channel close.
pub(super) fn serve(connection: &Connection, work: &mpsc::Receiver<Job>, woken: UnixStream) {
    let mut thread = Thread {
        connection,
        woken,
        commands: VecDeque::new(),
        forwardings: vec![],
    };
    if let Err(error) = thread.serve(work)
        && let Some((command, reply)) = thread.commands.pop_front()
    {
        let _ = reply.send(command.outcome(Err(error)));
    }
}

struct Thread<'a> {
    connection: &'a Connection,
    woken: UnixStream,
    /// The first command is the running one.
    commands: VecDeque<(Command, Reply)>,
    forwardings: Vec<Forwarding>,
}

impl Thread<'_> {
    fn serve(&mut self, work: &mpsc::Receiver<Job>) -> Result<(), SshError> {
        loop {
            let closed = self.sleep()?;
            if !self.drain_waker() {
                return Ok(());
            }
            self.take(work);
            self.work()?;
            if closed {
                return Err(SshError::Broken("the guest closed the connection".into()));
            }
        }
    }

    /// Drains the waker; `false` if the last handle was dropped.
    fn drain_waker(&mut self) -> bool {
        loop {
            match self.woken.read(&mut [0; 64]) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    fn take(&mut self, work: &mpsc::Receiver<Job>) {
        for job in work.try_iter() {
            match job {
                Job::Run(command, reply) => self.commands.push_back((command, reply)),
                Job::Forward(forwarding) => self.forwardings.push(forwarding),
            }
        }
    }

    /// Moves bytes until none can be moved: reading for one channel receives packets of the others.
    fn work(&mut self) -> Result<(), SshError> {
        loop {
            let mut moved = self.advance();
            for forwarding in &mut self.forwardings {
                moved |= forwarding.pump(self.connection)?;
            }
            self.forwardings.retain(Forwarding::wanted);
            if !moved {
                return Ok(());
            }
        }
    }

    /// Advances the running command; `true` if it or the next one may make more progress.
    fn advance(&mut self) -> bool {
        let Some((command, reply)) = self.commands.front_mut() else {
            return false;
        };
        let outcome = if reply.is_closed() {
            // The caller gave up.
            Ok(())
        } else {
            match command.advance(self.connection) {
                Ok(Progress::Moved) => return true,
                Ok(Progress::Waits) => return false,
                Ok(Progress::Ended) => Ok(()),
                Err(error) => Err(error),
            }
        };
        if let Some((command, reply)) = self.commands.pop_front() {
            let _ = reply.send(command.outcome(outcome));
        }
        true
    }

    /// Waits for something to do. Returns `true` if the guest closed the connection; bytes that it sent
    /// before can still be read.
    fn sleep(&mut self) -> Result<bool, SshError> {
        let socket = self.connection.socket();
        let listens = self.listens();
        let wanted = if listens {
            self.connection.wanted() | PollFlags::POLLIN
        } else {
            peer_closed()
        };
        let mut fds = vec![
            PollFd::new(self.woken.as_fd(), PollFlags::POLLIN),
            PollFd::new(socket.as_fd(), wanted),
        ];
        let mut ends = vec![fds.len()];
        for forwarding in &self.forwardings {
            fds.extend(forwarding.fds());
            ends.push(fds.len());
        }
        match poll(&mut fds, self.poll_timeout()) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(false),
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
        let events: Vec<_> = fds
            .iter()
            // If an event has a bit that nix does not know, `revents` returns `None`.
            .map(|fd| fd.revents().unwrap_or(PollFlags::POLLHUP))
            .collect();
        drop(fds);
        for (forwarding, range) in self.forwardings.iter_mut().zip(ends.windows(2)) {
            forwarding.on_events(&events[range[0]..range[1]]);
        }
        let signalled = events[1].intersects(wanted | PollFlags::POLLHUP | PollFlags::POLLERR);
        Ok(signalled && (!listens || has_ended(socket.peek(&mut [0]))))
    }

    /// Whether a channel can receive bytes of the guest. Without one nothing reads the socket, and poll(2)
    /// would report the same bytes for ever.
    fn listens(&self) -> bool {
        !self.commands.is_empty() || self.forwardings.iter().any(Forwarding::in_use)
    }

    fn poll_timeout(&self) -> PollTimeout {
        if self.forwardings.iter().any(Forwarding::ready) {
            return PollTimeout::ZERO;
        }
        match self.commands.front() {
            Some((command, _)) => timeout(command.end().saturating_duration_since(Instant::now())),
            None => PollTimeout::NONE,
        }
    }
}

/// The peer has stopped sending (`POLLRDHUP`, which nix does not define).
fn peer_closed() -> PollFlags {
    PollFlags::from_bits_retain(nix::libc::POLLRDHUP)
}

/// Whether a peek at a socket found its end.
fn has_ended(peek: io::Result<usize>) -> bool {
    match peek {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
