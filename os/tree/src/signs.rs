//! Files by which the console, the mounts and the user's engine signal their progress to each other.

use std::io::Result;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use sys::poll_timeout;

/// The folder of these files.
pub const SIGNS: &str = "/run/tree";

/// Waits until a condition holds that depends on files in [`SIGNS`]; returns false when the timeout
/// expires.
///
/// # Errors
/// The folder cannot be watched.
pub fn wait_until(timeout: Duration, holds: impl Fn() -> bool) -> Result<bool> {
    std::fs::create_dir_all(SIGNS)?;
    let signs = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let changes = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE;
    signs.add_watch(SIGNS, changes)?;
    let deadline = Instant::now() + timeout;
    while !holds() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let mut watched = [PollFd::new(signs.as_fd(), PollFlags::POLLIN)];
        poll(&mut watched, poll_timeout(left))?;
        let _ = signs.read_events();
    }
    Ok(true)
}
