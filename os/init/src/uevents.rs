//! What the kernel tells of devices as they come: its uevents, on a netlink socket.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

/// The group of listeners to the kernel itself (`lib/kobject_uevent.c`).
const KERNEL: u32 = 1;

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// A disk or a partition, or it has other content now.
    Disk,
    /// A device of another kind: there may be a disk behind it.
    Other,
}

/// Begins to listen.
///
/// # Errors
/// The kernel's.
pub fn open() -> nix::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkKObjectUEvent,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL))?;
    Ok(socket)
}

/// The next device that came; none when none did for so long.
///
/// # Errors
/// The kernel's.
pub fn next(socket: &OwnedFd, limit: Duration) -> nix::Result<Option<Came>> {
    let deadline = Instant::now() + limit;
    let mut buffer = vec![0; 8192];
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => match came(&buffer[..length]) {
                Some(came) => return Ok(Some(came)),
                None => continue,
            },
            // More was told than the socket holds: whoever waits had better look.
            Err(Errno::ENOBUFS) => return Ok(Some(Came::Disk)),
            Err(Errno::EAGAIN | Errno::EINTR) => (),
            Err(error) => return Err(error),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(
            &mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)],
            timeout,
        ) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(error) => return Err(error),
        }
    }
}

/// Whether an interface of the network came or went; takes all that was told so far.
///
/// # Errors
/// The kernel's, which is no reason to look at the interfaces.
pub fn interface_changed(socket: &OwnedFd) -> nix::Result<bool> {
    let mut buffer = vec![0; 8192];
    let mut changed = false;
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => changed |= is_about(&buffer[..length], b"SUBSYSTEM=net"),
            Err(Errno::ENOBUFS) => changed = true,
            Err(Errno::EINTR) => (),
            Err(Errno::EAGAIN) => return Ok(changed),
            Err(error) => return Err(error),
        }
    }
}

fn is_about(message: &[u8], field: &[u8]) -> bool {
    message.split(|byte| *byte == 0).any(|one| one == field)
}

/// A message is `ACTION@PATH` and then `KEY=VALUE`s, each ended by a zero.
fn came(message: &[u8]) -> Option<Came> {
    if message.starts_with(b"remove@") {
        return None;
    }
    let is_disk = is_about(message, b"SUBSYSTEM=block");
    Some(if is_disk { Came::Disk } else { Came::Other })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_told_from_other_devices() {
        let disk = b"add@/devices/vda\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=vda\0";
        assert_eq!(came(disk), Some(Came::Disk));
        let card = b"add@/devices/eth0\0ACTION=add\0SUBSYSTEM=net\0";
        assert_eq!(came(card), Some(Came::Other));
        let gone = b"remove@/devices/vda\0ACTION=remove\0SUBSYSTEM=block\0";
        assert_eq!(came(gone), None);
    }

    #[test]
    fn interfaces_are_told_from_other_devices() {
        let card = b"remove@/devices/eth0\0ACTION=remove\0SUBSYSTEM=net\0";
        assert!(is_about(card, b"SUBSYSTEM=net"));
        let disk = b"add@/devices/net\0ACTION=add\0SUBSYSTEM=block\0";
        assert!(!is_about(disk, b"SUBSYSTEM=net"));
    }

    #[test]
    fn waiting_for_nothing_ends() {
        let socket = open().unwrap();
        let begin = Instant::now();
        // Devices of the host may come meanwhile.
        while next(&socket, Duration::from_millis(10)).unwrap().is_some() {}
        assert!(begin.elapsed() >= Duration::from_millis(10));
    }
}
