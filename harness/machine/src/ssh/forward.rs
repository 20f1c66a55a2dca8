//! Forwards a socket on this host to a Unix socket in the guest, over SSH.
//!
//! bollard connects to the Unix socket. Each connection becomes a `direct-streamlocal` channel of an SSH
//! connection, or a channel of a command, and the connection's thread moves the bytes. Responses may be
//! endless (logs, exec, wait).

mod pipe;

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};
use ssh2::{Channel, Session};

use crate::error::MachineError;
use crate::ssh::{Connection, Ssh, SshError};
use base::private_dir::PrivateFolder;
use host::speed;
use pipe::Pipe;

/// Timeout for the guest to open one channel, on the reference host.
const OPEN_SECONDS: u64 = 20;

/// libssh2's message if a server does not forward to Unix sockets (SSH_OPEN_UNKNOWN_CHANNEL_TYPE of
/// RFC 4254, 5.1). Dropbear does since 2024.84; Ubuntu 24.04 has an older one.
const NOT_FORWARDED: &str = "unknown channel type";

/// Forwards until it is dropped or the connection ends.
pub(crate) struct Forward {
    /// Each side drops its end when it stops, and so notifies the other.
    line: UnixStream,
    /// Keeps the connection open.
    _ssh: Ssh,
    path: String,
}

impl Forward {
    /// Listens on a new socket in the machine's folder.
    pub(crate) fn start(
        ssh: &Ssh,
        guest_path: &'static str,
        folder: &PrivateFolder,
    ) -> Result<Self, MachineError> {
        let path = folder.socket(&format!("forward-{}.sock", next_number()));
        let listener = UnixListener::bind(&path).map_err(other)?;
        let (line, far) = UnixStream::pair().map_err(other)?;
        line.set_nonblocking(true).map_err(other)?;
        ssh.forward(Forwarding::new(listener, far, guest_path).map_err(other)?)?;
        Ok(Self {
            line,
            _ssh: ssh.clone(),
            path,
        })
    }

    /// The path of the socket, which is short even if the folder's path is long.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether it still forwards.
    pub(crate) fn alive(&self) -> bool {
        !has_ended(&self.line)
    }
}

fn other(error: impl std::fmt::Display) -> MachineError {
    MachineError::Ssh(format!("forwarding: {error}"))
}

fn next_number() -> u64 {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Whether the other end was dropped. Nothing is ever written to the line.
fn has_ended(mut line: &UnixStream) -> bool {
    let silence = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
    !line.read(&mut [0]).as_ref().is_err_and(silence)
}

/// The side of the connection's thread: the socket, and the connections to it.
pub(crate) struct Forwarding {
    listener: UnixListener,
    line: UnixStream,
    guest_path: &'static str,
    pipes: Vec<Pipe>,
}

impl Forwarding {
    fn new(listener: UnixListener, line: UnixStream, guest_path: &'static str) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        line.set_nonblocking(true)?;
        Ok(Self {
            listener,
            line,
            guest_path,
            pipes: vec![],
        })
    }

    /// Whether the handle still exists.
    pub(crate) fn wanted(&self) -> bool {
        !has_ended(&self.line)
    }

    /// The file descriptors to poll.
    pub(crate) fn fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        let own = [self.line.as_fd(), self.listener.as_fd()];
        let own = own.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let pipes = self
            .pipes
            .iter()
            .map(|pipe| PollFd::new(pipe.stream().as_fd(), pipe.wanted()));
        own.into_iter().chain(pipes)
    }

    /// Processes the results of polling [`Self::fds`].
    pub(crate) fn on_events(&mut self, events: &[PollFlags]) {
        let hang_up = PollFlags::POLLHUP | PollFlags::POLLERR;
        for (pipe, events) in self.pipes.iter_mut().zip(&events[2..]) {
            if events.intersects(hang_up) {
                pipe.host_closed();
            }
        }
    }

    /// Whether there are bytes to move that no socket signals again.
    pub(crate) fn ready(&self) -> bool {
        self.pipes.iter().any(Pipe::ready)
    }

    /// Whether there are connections.
    pub(crate) fn in_use(&self) -> bool {
        !self.pipes.is_empty()
    }

    /// Accepts new connections and moves bytes; `true` if any moved.
    pub(crate) fn pump(&mut self, connection: &Connection) -> Result<bool, SshError> {
        while let Ok((stream, _)) = self.listener.accept() {
            self.pipes
                .extend(open(connection, stream, self.guest_path)?);
        }
        let mut moved = false;
        for pipe in &mut self.pipes {
            moved |= pipe.pump(connection)?;
        }
        self.pipes.retain(|pipe| !pipe.done());
        Ok(moved)
    }
}

/// Opens a channel for a new connection. If the guest refuses, the client gets an HTTP response, so
/// that its error contains the cause.
fn open(
    connection: &Connection,
    mut stream: UnixStream,
    guest_path: &str,
) -> Result<Option<Pipe>, SshError> {
    let end = Instant::now() + speed::seconds(OPEN_SECONDS);
    match channel(connection, guest_path, end) {
        Ok(channel) => Ok(Some(Pipe::new(stream, channel)?)),
        Err(SshError::Deadline) => Err(SshError::Deadline),
        Err(error) => {
            let message = format!("the guest refused to open {guest_path}: {error}");
            let body = serde_json::json!({ "message": message }).to_string();
            let head =
                "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(
                stream,
                "{head}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            Ok(None)
        }
    }
}

/// Opens a channel to a socket of the guest. If the server does not forward to Unix sockets, falls back
/// to the command that `docker -H ssh://` uses.
fn channel(connection: &Connection, guest_path: &str, end: Instant) -> Result<Channel, SshError> {
    let direct = connection.until(end, |session| {
        session.channel_direct_streamlocal(guest_path, None)
    });
    match direct {
        Err(SshError::Broken(why)) if why.contains(NOT_FORWARDED) => {
            let mut channel = connection.until(end, Session::channel_session)?;
            let dial = format!("exec docker --host unix://{guest_path} system dial-stdio");
            connection.until(end, |_| channel.exec(&dial))?;
            Ok(channel)
        }
        direct => direct,
    }
}
