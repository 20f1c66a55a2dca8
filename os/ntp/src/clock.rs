//! The machine's clock.

use nix::errno::Errno;
use nix::libc;
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime, clock_settime};

/// A clock that is off by so many seconds is set, one that is nearer is led there.
const FAR: f64 = 0.5;

/// Adds seconds to the clock; says what it did.
pub fn correct(offset: f64) -> nix::Result<String> {
    if offset.abs() < FAR {
        lead(offset)?;
        return Ok(format!("the clock was {offset:+.3} s off"));
    }
    let nanos = (offset * 1e9) as i64;
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
    clock_settime(ClockId::CLOCK_REALTIME, now + TimeSpec::nanoseconds(nanos))?;
    Ok(format!("the clock was set, {offset:+.3} s"))
}

/// The kernel makes the clock a little faster or slower until it is right: it never goes back.
fn lead(offset: f64) -> nix::Result<()> {
    let delta = TimeVal::microseconds((offset * 1e6) as i64);
    #[allow(unsafe_code, reason = "nix has no adjtime(3)")]
    // SAFETY: the first pointer is to a value that outlives the call, a null second one is allowed.
    let done = unsafe { libc::adjtime(delta.as_ref(), std::ptr::null_mut()) };
    Errno::result(done).map(drop)
}
