//! What the thread of a connection does: one command after another, and bytes for every forwarded
//! connection meanwhile, woken by poll(2).

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot;

use super::connection::{Connection, Trouble, timeout};
use super::exec::{Command, Progress};
use super::{Job, Output};
use crate::MachineError;
use crate::forward::Forwarding;

/// What a command's caller waits for.
type Reply = oneshot::Sender<Result<Output, MachineError>>;

/// What wakes the thread, and what it is woken by.
pub(super) fn bell() -> io::Result<(UnixStream, UnixStream)> {
    let (bell, woken) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((bell, woken))
}

/// A bell that is full has rung.
pub(super) fn ring(mut bell: &UnixStream) {
    let _ = bell.write(&[0]);
}

/// Until the last handle is gone, or the connection ends. Callers whose job was not done then are
/// told by the end of their line.
pub(super) fn serve(connection: &Connection, work: &mpsc::Receiver<Job>, woken: UnixStream) {
    let mut thread = Thread {
        connection,
        woken,
        commands: VecDeque::new(),
        forwardings: vec![],
    };
    if let Err(trouble) = thread.serve(work)
        && let Some((command, reply)) = thread.commands.pop_front()
    {
        let _ = reply.send(command.outcome(Err(trouble)));
    }
}

struct Thread<'a> {
    connection: &'a Connection,
    woken: UnixStream,
    /// The first of them runs.
    commands: VecDeque<(Command, Reply)>,
    forwardings: Vec<Forwarding>,
}

impl Thread<'_> {
    fn serve(&mut self, work: &mpsc::Receiver<Job>) -> Result<(), Trouble> {
        loop {
            let closed = self.sleep()?;
            if !self.heed_bell() {
                return Ok(());
            }
            self.take(work);
            self.work()?;
            if closed {
                return Err(Trouble::Broken("the guest closed the connection".into()));
            }
        }
    }

    /// False when the last handle is gone.
    fn heed_bell(&mut self) -> bool {
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

    /// Moves bytes until none moves: reading for one channel takes in packets of the others.
    fn work(&mut self) -> Result<(), Trouble> {
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

    /// The command at hand; true when there may be more to do for it or the next one.
    fn advance(&mut self) -> bool {
        let Some((command, reply)) = self.commands.front_mut() else {
            return false;
        };
        let outcome = if reply.is_closed() {
            // Nobody waits for it.
            Ok(())
        } else {
            match command.advance(self.connection) {
                Ok(Progress::Moved) => return true,
                Ok(Progress::Waits) => return false,
                Ok(Progress::Ended) => Ok(()),
                Err(trouble) => Err(trouble),
            }
        };
        if let Some((command, reply)) = self.commands.pop_front() {
            let _ = reply.send(command.outcome(outcome));
        }
        true
    }

    /// Waits for anything to do. True when the guest closed the connection; what it sent before can
    /// still be read.
    fn sleep(&mut self) -> Result<bool, Trouble> {
        let socket = self.connection.socket();
        let listens = self.listens();
        let wanted = match listens {
            true => self.connection.wanted() | PollFlags::POLLIN,
            false => hung_up(),
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
        match poll(&mut fds, self.patience()) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(false),
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
        let events: Vec<_> = fds
            .iter()
            // nix gives none of them where one is that it has no name for.
            .map(|fd| fd.revents().unwrap_or(PollFlags::POLLHUP))
            .collect();
        drop(fds);
        for (forwarding, range) in self.forwardings.iter_mut().zip(ends.windows(2)) {
            forwarding.heed(&events[range[0]..range[1]]);
        }
        let told = events[1].intersects(wanted | PollFlags::POLLHUP | PollFlags::POLLERR);
        Ok(told && (!listens || has_ended(socket.peek(&mut [0]))))
    }

    /// Whether there is a channel to take in what the guest says. Without one nobody does, and the
    /// socket would tell of the same bytes for ever.
    fn listens(&self) -> bool {
        !self.commands.is_empty() || self.forwardings.iter().any(Forwarding::in_use)
    }

    fn patience(&self) -> PollTimeout {
        if self.forwardings.iter().any(Forwarding::ready) {
            return PollTimeout::ZERO;
        }
        match self.commands.front() {
            Some((command, _)) => timeout(command.end().saturating_duration_since(Instant::now())),
            None => PollTimeout::NONE,
        }
    }
}

/// The other side says no more (`POLLRDHUP`, which nix has no name for).
fn hung_up() -> PollFlags {
    PollFlags::from_bits_retain(nix::libc::POLLRDHUP)
}

/// Whether what a peek at a socket met is its end.
fn has_ended(peek: io::Result<usize>) -> bool {
    match peek {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
