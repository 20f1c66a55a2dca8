//! Corrects the machine's clock.

use nix::errno::Errno;
use nix::libc;
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime, clock_settime};

/// The offset in seconds from which the clock is stepped; smaller offsets are slewed.
const STEP: f64 = 0.5;

/// Corrects the clock by an offset in seconds and returns a message.
pub(crate) fn correct(offset: f64) -> nix::Result<String> {
    if offset.abs() < STEP {
        slew(offset)?;
        return Ok(format!("the clock was off by {offset:+.3} s"));
    }
    let nanos = (offset * 1e9) as i64;
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
    clock_settime(ClockId::CLOCK_REALTIME, now + TimeSpec::nanoseconds(nanos))?;
    Ok(format!("stepped the clock by {offset:+.3} s"))
}

/// Makes the kernel speed up or slow down the clock until it is right. The clock never runs backwards.
fn slew(offset: f64) -> nix::Result<()> {
    let delta = TimeVal::microseconds((offset * 1e6) as i64);
    #[allow(unsafe_code, reason = "nix has no adjtime(3)")]
    // SAFETY: the first pointer is to a value that outlives the call, and the second one may be null.
    let result = unsafe { libc::adjtime(delta.as_ref(), std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}
