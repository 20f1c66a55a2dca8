//! The lines that a machine has as long as it lives, whichever QEMU it is.

use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// This side's ends of a line, one for each QEMU in turn; over when there will be no other.
pub(super) type Ends = mpsc::UnboundedReceiver<UnixStream>;

/// Where the ends of each new QEMU go.
pub(super) struct Lines {
    serial: mpsc::UnboundedSender<UnixStream>,
    events: mpsc::UnboundedSender<UnixStream>,
}

impl Lines {
    /// With the ends of serial line and boot events.
    pub(super) fn new() -> (Self, Ends, Ends) {
        let (serial, serial_ends) = mpsc::unbounded_channel();
        let (events, event_ends) = mpsc::unbounded_channel();
        (Self { serial, events }, serial_ends, event_ends)
    }

    /// Those of another QEMU. Who listened to the one before has then heard all of it first.
    pub(super) fn lead_to(&self, serial: UnixStream, events: UnixStream) {
        // Nobody listens to a machine that is gone.
        let _ = self.serial.send(serial);
        let _ = self.events.send(events);
    }
}

/// A line that leads to one QEMU and no other.
#[cfg(test)]
pub(super) fn only(port: UnixStream) -> Ends {
    let (give, ends) = mpsc::unbounded_channel();
    give.send(port).unwrap();
    ends
}
