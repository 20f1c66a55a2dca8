//! Device events of the kernel (uevents), received on a netlink socket.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::netlink::{Family, Netlink, Received};

/// The multicast group of messages that the kernel itself sends (`lib/kobject_uevent.c`).
const KERNEL_GROUP: u32 = 1;

/// A device that appeared or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceEvent {
    /// A disk or a partition, or its content changed.
    Disk,
    /// Another kind of device; a disk may be behind it.
    Other,
}

/// A socket that receives device events.
#[derive(Debug)]
pub struct Uevents(Netlink);

impl Uevents {
    /// Starts to receive; the kernel queues events from now on.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn open() -> nix::Result<Self> {
        Netlink::open(Family::Uevent, KERNEL_GROUP).map(Self)
    }

    /// Waits for the next device; `None` when none appeared before the timeout.
    ///
    /// # Errors
    /// The socket cannot be read.
    pub fn next_device(&self, timeout: Duration) -> nix::Result<Option<DeviceEvent>> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.0.receive()? {
                Received::Message(message) => match parse(&message) {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                },
                // The lost events may have been of a disk: the caller has to look.
                Received::Overflow => return Ok(Some(DeviceEvent::Disk)),
                Received::Empty => (),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.0.wait(left)?;
        }
    }

    /// Whether a network interface appeared or disappeared since the last call; empties the queue.
    ///
    /// # Errors
    /// The socket cannot be read; nothing is known about interfaces then.
    pub fn interface_changed(&self) -> nix::Result<bool> {
        let mut changed = false;
        loop {
            match self.0.receive()? {
                Received::Message(message) => changed |= has_field(&message, b"SUBSYSTEM=net"),
                Received::Overflow => changed = true,
                Received::Empty => return Ok(changed),
            }
        }
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn has_field(message: &[u8], field: &[u8]) -> bool {
    message.split(|byte| *byte == 0).any(|one| one == field)
}

/// Reads a message: `ACTION@PATH` and then `KEY=VALUE` fields, each terminated by a zero byte. `None` is
/// the removal of a device.
fn parse(message: &[u8]) -> Option<DeviceEvent> {
    if message.starts_with(b"remove@") {
        return None;
    }
    Some(if has_field(message, b"SUBSYSTEM=block") {
        DeviceEvent::Disk
    } else {
        DeviceEvent::Other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_returns_disk_when_the_subsystem_is_block() {
        let disk = b"add@/devices/vda\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=vda\0";
        assert_eq!(parse(disk), Some(DeviceEvent::Disk));
        let card = b"add@/devices/eth0\0ACTION=add\0SUBSYSTEM=net\0";
        assert_eq!(parse(card), Some(DeviceEvent::Other));
        let gone = b"remove@/devices/vda\0ACTION=remove\0SUBSYSTEM=block\0";
        assert_eq!(parse(gone), None);
    }

    #[test]
    fn has_field_compares_whole_fields() {
        let card = b"remove@/devices/eth0\0ACTION=remove\0SUBSYSTEM=net\0";
        assert!(has_field(card, b"SUBSYSTEM=net"));
        let disk = b"add@/devices/net\0ACTION=add\0SUBSYSTEM=block\0";
        assert!(!has_field(disk, b"SUBSYSTEM=net"));
    }

    #[test]
    fn next_device_returns_none_when_the_timeout_expires() {
        let uevents = Uevents::open().unwrap();
        let begin = Instant::now();
        let timeout = Duration::from_millis(10);
        // Devices of the host may appear meanwhile.
        while uevents.next_device(timeout).unwrap().is_some() {}
        assert!(begin.elapsed() >= timeout);
    }
}
