//! A libssh2 session on a socket that never blocks past a deadline.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::{BlockDirections, Channel, ErrorCode, Session, Stream};

/// `LIBSSH2_ERROR_EAGAIN`.
const AGAIN: ErrorCode = ErrorCode::Session(-37);
/// `LIBSSH2_ERROR_AUTHENTICATION_FAILED`, `..._PUBLICKEY_UNVERIFIED`.
const REFUSALS: [ErrorCode; 2] = [ErrorCode::Session(-18), ErrorCode::Session(-19)];

/// Why a call failed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum SshError {
    /// The guest refused the login.
    #[error("refused")]
    Refused,
    /// The deadline passed.
    #[error("the guest stopped answering")]
    Deadline,
    /// The connection is unusable.
    #[error("{0}")]
    Broken(String),
}

impl From<ssh2::Error> for SshError {
    fn from(error: ssh2::Error) -> Self {
        if REFUSALS.contains(&error.code()) {
            Self::Refused
        } else {
            Self::Broken(error.message().to_owned())
        }
    }
}

impl From<io::Error> for SshError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// A stage of the way to a connection, and when it was reached.
pub(super) type Stage = (&'static str, Instant);

/// A session and the socket below it.
pub(crate) struct Connection {
    session: Session,
    socket: TcpStream,
    stages: Vec<Stage>,
}

impl Connection {
    /// Connects to a port of this host and exchanges keys. An SSH server speaks first; if it sends
    /// nothing within `banner_timeout`, nothing listens in the guest yet.
    pub(crate) fn open(
        port: u16,
        banner_timeout: Duration,
        end: Instant,
    ) -> Result<Self, SshError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = TcpStream::connect_timeout(&address, banner_timeout)?;
        socket.set_nodelay(true)?;
        let banner_deadline = end.min(Instant::now() + banner_timeout);
        if !ready(&socket, PollFlags::POLLIN, banner_deadline)? {
            return Err(SshError::Broken(
                "connected, but the server sent no banner".into(),
            ));
        }
        let mut session = Session::new()?;
        session.set_tcp_stream(socket.try_clone()?);
        session.set_blocking(false);
        let mut this = Self {
            session,
            socket,
            stages: vec![],
        };
        this.reached("SSH banner received");
        this.handshake(end)?;
        this.reached("key exchange done");
        Ok(this)
    }

    /// Records that a stage is reached now.
    pub(crate) fn reached(&mut self, what: &'static str) {
        self.stages.push((what, Instant::now()));
    }

    /// The stages reached so far.
    pub(crate) fn stages(&self) -> &[Stage] {
        &self.stages
    }

    fn handshake(&mut self, end: Instant) -> Result<(), SshError> {
        // Not `until`: only this call needs the session mutably.
        loop {
            match self.session.handshake() {
                Err(error) if error.code() == AGAIN => self.wait(end)?,
                done => return Ok(done?),
            }
        }
    }

    /// Calls libssh2 until it no longer returns EAGAIN.
    pub(crate) fn until<T>(
        &self,
        end: Instant,
        mut call: impl FnMut(&Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, SshError> {
        loop {
            match call(&self.session) {
                Err(error) if error.code() == AGAIN => self.wait(end)?,
                done => return Ok(done?),
            }
        }
    }

    /// The socket events that libssh2 waits for.
    pub(crate) fn wanted(&self) -> PollFlags {
        match self.session.block_directions() {
            BlockDirections::None | BlockDirections::Inbound => PollFlags::POLLIN,
            BlockDirections::Outbound => PollFlags::POLLOUT,
            BlockDirections::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
        }
    }

    /// Waits for the [wanted](Self::wanted) events.
    pub(crate) fn wait(&self, end: Instant) -> Result<(), SshError> {
        if ready(&self.socket, self.wanted(), end)? {
            Ok(())
        } else {
            Err(SshError::Deadline)
        }
    }

    /// Reads available bytes. `None` if there are none now, zero at the end.
    pub(crate) fn read(
        &self,
        stream: &mut Stream,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, SshError> {
        match stream.read(buffer) {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as many bytes as the guest accepts now, possibly none. A packet that was sent partly must
    /// be completed by the same call before any other; for that this waits.
    pub(crate) fn write(
        &self,
        channel: &mut Channel,
        bytes: &[u8],
        end: Instant,
    ) -> Result<usize, SshError> {
        loop {
            match channel.write(bytes) {
                Ok(n) => return Ok(n),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) if self.wanted().contains(PollFlags::POLLOUT) => self.wait(end)?,
                Err(_) => return Ok(0),
            }
        }
    }

    /// Whether unread bytes are buffered. Any call of libssh2 reads all bytes of the socket, for all
    /// channels, so the socket does not signal them again.
    pub(crate) fn unread(channel: &Channel) -> bool {
        channel.read_window().available > 0 || channel.eof()
    }

    /// Whether the guest accepts more bytes. As with [`Self::unread`], the socket signals that only once.
    pub(crate) fn takes(channel: &Channel) -> bool {
        channel.write_window().remaining > 0
    }

    /// The host key, in SSH wire format.
    pub(crate) fn host_key(&self) -> Vec<u8> {
        self.session
            .host_key()
            .map(|(key, _)| key.to_vec())
            .unwrap_or_default()
    }

    /// The socket, for polling together with others.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

/// Waits until the socket is ready; `false` if it is not before `end`.
fn ready(socket: &TcpStream, events: PollFlags, end: Instant) -> io::Result<bool> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(socket.as_fd(), events)];
        match poll(&mut fds, timeout(left)) {
            Ok(0) if end <= Instant::now() => return Ok(false),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Converts a duration to a poll timeout. Rounds up, because the last wait would otherwise spin with
/// zero.
pub(super) fn timeout(left: Duration) -> PollTimeout {
    let millis = left.as_micros().div_ceil(1000);
    i32::try_from(millis)
        .ok()
        .and_then(|ms| PollTimeout::try_from(ms).ok())
        .unwrap_or(PollTimeout::MAX)
}
