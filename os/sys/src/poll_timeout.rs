//! Timeouts of poll(2).

use std::time::Duration;

use nix::poll::PollTimeout;

/// The timeout for poll(2), which has milliseconds. It is rounded up, so that the time has passed when
/// poll(2) returns without an event.
pub fn poll_timeout(time: Duration) -> PollTimeout {
    PollTimeout::try_from(time.as_millis() + 1).unwrap_or(PollTimeout::MAX)
}
