//! A libssh2 session on a socket that never blocks for longer than a deadline.

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

/// Why a call did not come to its end.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Trouble {
    /// The guest said no to this login.
    #[error("refused")]
    Refused,
    /// The deadline passed.
    #[error("it stopped answering")]
    Deadline,
    /// The connection is of no use any more.
    #[error("{0}")]
    Broken(String),
}

impl From<ssh2::Error> for Trouble {
    fn from(error: ssh2::Error) -> Self {
        match REFUSALS.contains(&error.code()) {
            true => Self::Refused,
            false => Self::Broken(error.message().to_owned()),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What was reached on the way to a connection, and when.
pub type Rung = (&'static str, Instant);

/// A session and the socket below it.
pub struct Connection {
    session: Session,
    socket: TcpStream,
    rungs: Vec<Rung>,
}

impl Connection {
    /// Connects to a port of this host and agrees on keys. An SSH server speaks first; when it
    /// does not within `patience`, nothing listens behind the port yet.
    pub fn open(port: u16, patience: Duration, end: Instant) -> Result<Self, Trouble> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = TcpStream::connect_timeout(&address, patience)?;
        socket.set_nodelay(true)?;
        let first_word = end.min(Instant::now() + patience);
        if !ready(&socket, PollFlags::POLLIN, first_word)? {
            return Err(Trouble::Broken("connected, but nothing was said".into()));
        }
        let mut session = Session::new()?;
        session.set_tcp_stream(socket.try_clone()?);
        session.set_blocking(false);
        let mut this = Self {
            session,
            socket,
            rungs: vec![],
        };
        this.reached("the SSH server spoke");
        this.shake_hands(end)?;
        this.reached("keys are agreed on");
        Ok(this)
    }

    /// Notes that something is reached now.
    pub fn reached(&mut self, what: &'static str) {
        self.rungs.push((what, Instant::now()));
    }

    /// What was reached so far.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    fn shake_hands(&mut self, end: Instant) -> Result<(), Trouble> {
        // Not by `until`: only this call needs the session for itself.
        loop {
            match self.session.handshake() {
                Err(error) if error.code() == AGAIN => self.wait(end)?,
                done => return Ok(done?),
            }
        }
    }

    /// Calls libssh2 until it no longer asks to be called again.
    pub fn until<T>(
        &self,
        end: Instant,
        mut call: impl FnMut(&Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, Trouble> {
        loop {
            match call(&self.session) {
                Err(error) if error.code() == AGAIN => self.wait(end)?,
                done => return Ok(done?),
            }
        }
    }

    /// What libssh2 waits for on the socket.
    pub fn wanted(&self) -> PollFlags {
        match self.session.block_directions() {
            BlockDirections::None | BlockDirections::Inbound => PollFlags::POLLIN,
            BlockDirections::Outbound => PollFlags::POLLOUT,
            BlockDirections::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
        }
    }

    /// Waits for that.
    pub fn wait(&self, end: Instant) -> Result<(), Trouble> {
        match ready(&self.socket, self.wanted(), end)? {
            true => Ok(()),
            false => Err(Trouble::Deadline),
        }
    }

    /// Reads what is there; `None` when there is nothing now, zero at the end.
    pub fn read(&self, stream: &mut Stream, buffer: &mut [u8]) -> Result<Option<usize>, Trouble> {
        match stream.read(buffer) {
            Ok(n) => Ok(Some(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what the guest takes now, which may be nothing. A packet that is half on its way
    /// must be finished by the same call before any other, so for that it waits.
    pub fn write(
        &self,
        channel: &mut Channel,
        bytes: &[u8],
        end: Instant,
    ) -> Result<usize, Trouble> {
        loop {
            match channel.write(bytes) {
                Ok(n) => return Ok(n),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) if self.wanted().contains(PollFlags::POLLOUT) => self.wait(end)?,
                Err(_) => return Ok(0),
            }
        }
    }

    /// Whether the guest said something that nobody has read. Any call of libssh2 takes in what the
    /// socket has, for all channels: the socket does not tell of it again.
    pub fn unread(channel: &Channel) -> bool {
        channel.read_window().available > 0 || channel.eof()
    }

    /// Whether the guest takes more bytes; like [`Self::unread`], the socket tells of it only once.
    pub fn takes(channel: &Channel) -> bool {
        channel.write_window().remaining > 0
    }

    /// The host key.
    pub fn host_key(&self) -> Vec<u8> {
        self.session
            .host_key()
            .map(|(key, _)| key.to_vec())
            .unwrap_or_default()
    }

    /// The socket, to be polled among others.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

/// Whether the socket is ready before `end`.
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

/// Rounded up, so that the last wait is not many of zero.
pub fn timeout(left: Duration) -> PollTimeout {
    let millis = left.as_micros().div_ceil(1000);
    i32::try_from(millis)
        .ok()
        .and_then(|ms| PollTimeout::try_from(ms).ok())
        .unwrap_or(PollTimeout::MAX)
}
