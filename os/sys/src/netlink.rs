//! Netlink sockets (netlink(7)), on which the kernel reports changes of devices, addresses and routes.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto,
    socket,
};

use crate::poll_timeout;

/// The size of the receive buffer; the kernel's own limit for one message is a page or 8 KiB
/// (`NLMSG_GOODSIZE` in `linux/netlink.h`).
const BUFFER_BYTES: usize = 8192;

/// A subsystem of the kernel that has a netlink family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Addresses, links and routes: rtnetlink(7).
    Route,
    /// Generic netlink, whose families have names.
    Generic,
    /// Device events.
    Uevent,
}

/// What a read from a socket returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// One datagram.
    Message(Vec<u8>),
    /// The socket's queue overflowed (`ENOBUFS`): the kernel dropped at least one message.
    Overflow,
    /// The queue is empty.
    Empty,
}

/// A non-blocking netlink socket.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Opens a socket that joins the multicast groups of a bit mask; 0 joins none.
    ///
    /// # Errors
    /// The kernel refuses the family or the groups.
    pub fn open(family: Family, groups: u32) -> nix::Result<Self> {
        let (kind, protocol) = match family {
            Family::Route => (SockType::Raw, SockProtocol::NetlinkRoute),
            Family::Generic => (SockType::Raw, SockProtocol::NetlinkGeneric),
            Family::Uevent => (SockType::Datagram, SockProtocol::NetlinkKObjectUEvent),
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, kind, flags, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self(socket))
    }

    /// Sends a request to the kernel.
    ///
    /// # Errors
    /// The kernel does not accept the message.
    pub fn send(&self, message: &[u8]) -> nix::Result<()> {
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.0.as_raw_fd(), message, &kernel, MsgFlags::empty()).map(drop)
    }

    /// Reads the next message without waiting for one.
    ///
    /// # Errors
    /// recv(2) fails.
    pub fn receive(&self) -> nix::Result<Received> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    buffer.truncate(length);
                    return Ok(Received::Message(buffer));
                }
                Err(Errno::ENOBUFS) => return Ok(Received::Overflow),
                Err(Errno::EAGAIN) => return Ok(Received::Empty),
                Err(Errno::EINTR) => (),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads and discards all messages in the queue.
    pub fn drain(&self) {
        while let Ok(Received::Message(_) | Received::Overflow) = self.receive() {}
    }

    /// Waits until a message may be in the queue, at most for the timeout. A signal ends the wait, too.
    ///
    /// # Errors
    /// poll(2) fails.
    pub fn wait(&self, timeout: Duration) -> nix::Result<()> {
        let mut sockets = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut sockets, poll_timeout(timeout)) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn receive_returns_empty_when_the_kernel_sent_nothing() {
        let socket = Netlink::open(Family::Route, 0).unwrap();
        let begin = Instant::now();
        socket.wait(Duration::from_millis(30)).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(30));
        assert_eq!(socket.receive(), Ok(Received::Empty));
    }
}
