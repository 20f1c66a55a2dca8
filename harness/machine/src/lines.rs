//! The lines of a machine (serial, boot events), which outlive each QEMU process.

use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// This side's ends of a line, one for each QEMU process in turn. The channel closes after the last one.
pub(crate) type Ends = mpsc::UnboundedReceiver<UnixStream>;

/// Passes the ends of each new QEMU process to the tasks that read them.
pub(crate) struct Lines {
    serial: mpsc::UnboundedSender<UnixStream>,
    events: mpsc::UnboundedSender<UnixStream>,
}

impl Lines {
    /// Creates the channels of the serial line and of the boot events.
    pub(crate) fn new() -> (Self, Ends, Ends) {
        let (serial, serial_ends) = mpsc::unbounded_channel();
        let (events, event_ends) = mpsc::unbounded_channel();
        (Self { serial, events }, serial_ends, event_ends)
    }

    /// Passes the ends of another QEMU. Readers first read the previous ends to their end.
    pub(crate) fn lead_to(&self, serial: UnixStream, events: UnixStream) {
        // An error means that the machine was dropped.
        let _ = self.serial.send(serial);
        let _ = self.events.send(events);
    }
}

/// A line with the end of a single QEMU.
#[cfg(test)]
pub(crate) fn only(port: UnixStream) -> Ends {
    let (give, ends) = mpsc::unbounded_channel();
    give.send(port).unwrap();
    ends
}
