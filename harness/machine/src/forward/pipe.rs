//! One forwarded connection.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::poll::PollFlags;
use ssh2::Channel;

use super::super::ssh::{Connection, Trouble};
use host::speed;

const CHUNK: usize = 32 << 10;
/// For a packet that is half on its way, on the reference host.
const WRITE_SECONDS: u64 = 20;

/// A stream of this host and a channel of the guest; at most one chunk each way is on hold, so a
/// slow reader slows its writer.
pub(super) struct Pipe {
    stream: UnixStream,
    channel: Channel,
    to_guest: Vec<u8>,
    to_host: Vec<u8>,
    host: End,
    guest: End,
}

/// How far the end of one direction has come.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Open,
    /// It said all; the other side does not know yet.
    Seen,
    /// The other side knows.
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

    /// What to wake up for.
    pub(super) fn wanted(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(
            PollFlags::POLLIN,
            self.to_guest.is_empty() && self.host == End::Open,
        );
        flags.set(PollFlags::POLLOUT, !self.to_host.is_empty());
        flags
    }

    /// Whether there is something to move of which the SSH socket does not tell any more.
    pub(super) fn ready(&self) -> bool {
        let back =
            self.to_host.is_empty() && self.guest == End::Open && Connection::unread(&self.channel);
        back || !self.to_guest.is_empty() && Connection::takes(&self.channel)
    }

    /// When both have said all, or this host's side is gone.
    pub(super) fn done(&self) -> bool {
        self.host == End::PassedOn && self.guest == End::PassedOn
    }

    /// True when anything moved.
    pub(super) fn pump(&mut self, connection: &Connection) -> Result<bool, Trouble> {
        let out = self.host_to_guest(connection)?;
        let back = self.guest_to_host(connection)?;
        Ok(out || back)
    }

    fn host_to_guest(&mut self, connection: &Connection) -> Result<bool, Trouble> {
        let mut moved = false;
        if self.to_guest.is_empty() && self.host == End::Open {
            let mut chunk = [0; CHUNK];
            match self.stream.read(&mut chunk) {
                Ok(0) => self.host = End::Seen,
                Ok(n) => self.to_guest.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.host_gone(),
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

    fn guest_to_host(&mut self, connection: &Connection) -> Result<bool, Trouble> {
        let mut moved = false;
        if self.to_host.is_empty() && self.guest == End::Open {
            let mut chunk = [0; CHUNK];
            match connection.read(&mut self.channel.stream(0), &mut chunk)? {
                Some(n @ 1..) => self.to_host.extend_from_slice(&chunk[..n]),
                _ if self.channel.eof() => self.guest = End::Seen,
                _ => {}
            }
        } else {
            // What came for others is taken in all the same.
            connection.read(&mut self.channel.stream(0), &mut [])?;
        }
        if !self.to_host.is_empty() {
            match self.stream.write(&self.to_host) {
                Ok(n) => {
                    self.to_host.drain(..n);
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.host_gone(),
            }
        }
        if self.to_host.is_empty() && self.guest == End::Seen {
            let _ = self.stream.shutdown(Shutdown::Write);
            self.guest = End::PassedOn;
            moved = true;
        }
        Ok(moved)
    }

    /// Nobody reads any more; the channel is closed with this value.
    pub(super) fn host_gone(&mut self) {
        self.to_guest.clear();
        self.to_host.clear();
        self.host = End::PassedOn;
        self.guest = End::PassedOn;
    }
}
