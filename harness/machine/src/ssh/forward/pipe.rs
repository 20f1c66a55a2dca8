//! One forwarded connection.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::poll::PollFlags;
use ssh2::Channel;

use crate::ssh::{Connection, SshError};
use host::speed;

const CHUNK: usize = 32 << 10;
/// Timeout of completing a packet, on the reference host.
const WRITE_SECONDS: u64 = 20;

/// A stream on this host and a channel of the guest. Each direction buffers at most one chunk, so a
/// slow reader slows the writer down.
pub(super) struct Pipe {
    stream: UnixStream,
    channel: Channel,
    to_guest: Vec<u8>,
    to_host: Vec<u8>,
    host: End,
    guest: End,
}

/// State of the end of one direction.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Open,
    /// The sender closed its side; the receiver has not been notified yet.
    Seen,
    /// The receiver has been notified.
    PassedOn,
}

impl Pipe {
    pub(super) fn new(stream: UnixStream, channel: Channel) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            channel,
            to_guest: vec![],
            to_host: vec![],
            host: End::Open,
            guest: End::Open,
        })
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The events to poll for.
    pub(super) fn wanted(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(
            PollFlags::POLLIN,
            self.to_guest.is_empty() && self.host == End::Open,
        );
        flags.set(PollFlags::POLLOUT, !self.to_host.is_empty());
        flags
    }

    /// Whether there are bytes to move that the SSH socket does not signal again.
    pub(super) fn ready(&self) -> bool {
        let back =
            self.to_host.is_empty() && self.guest == End::Open && Connection::unread(&self.channel);
        back || !self.to_guest.is_empty() && Connection::takes(&self.channel)
    }

    /// Whether both directions are closed, or the host's side is gone.
    pub(super) fn done(&self) -> bool {
        self.host == End::PassedOn && self.guest == End::PassedOn
    }

    /// Moves bytes; `true` if any moved.
    pub(super) fn pump(&mut self, connection: &Connection) -> Result<bool, SshError> {
        let out = self.host_to_guest(connection)?;
        let back = self.guest_to_host(connection)?;
        Ok(out || back)
    }

    fn host_to_guest(&mut self, connection: &Connection) -> Result<bool, SshError> {
        let mut moved = false;
        if self.to_guest.is_empty() && self.host == End::Open {
            let mut chunk = [0; CHUNK];
            match self.stream.read(&mut chunk) {
                Ok(0) => self.host = End::Seen,
                Ok(n) => self.to_guest.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.host_closed(),
            }
        }
        let end = Instant::now() + speed::seconds(WRITE_SECONDS);
        if !self.to_guest.is_empty() {
            let n = connection.write(&mut self.channel, &self.to_guest, end)?;
            self.to_guest.drain(..n);
            moved = n > 0;
        }
        if self.to_guest.is_empty() && self.host == End::Seen {
            connection.until(end, |_| self.channel.send_eof())?;
            self.host = End::PassedOn;
            moved = true;
        }
        Ok(moved)
    }

    fn guest_to_host(&mut self, connection: &Connection) -> Result<bool, SshError> {
        let mut moved = false;
        if self.to_host.is_empty() && self.guest == End::Open {
            let mut chunk = [0; CHUNK];
            match connection.read(&mut self.channel.stream(0), &mut chunk)? {
                Some(n @ 1..) => self.to_host.extend_from_slice(&chunk[..n]),
                _ if self.channel.eof() => self.guest = End::Seen,
                _ => {}
            }
        } else {
            // Reads nothing, but makes libssh2 receive the bytes of other channels.
            connection.read(&mut self.channel.stream(0), &mut [])?;
        }
        if !self.to_host.is_empty() {
            match self.stream.write(&self.to_host) {
                Ok(n) => {
                    self.to_host.drain(..n);
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.host_closed(),
            }
        }
        if self.to_host.is_empty() && self.guest == End::Seen {
            let _ = self.stream.shutdown(Shutdown::Write);
            self.guest = End::PassedOn;
            moved = true;
        }
        Ok(moved)
    }

    /// The host's side closed. The channel is closed when this value is dropped.
    pub(super) fn host_closed(&mut self) {
        self.to_guest.clear();
        self.to_host.clear();
        self.host = End::PassedOn;
        self.guest = End::PassedOn;
    }
}
