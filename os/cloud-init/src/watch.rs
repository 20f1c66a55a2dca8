//! Waits for events in a folder without polling.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Calls `check` now, and again whenever the folder gets a new entry or one of `changes` happens in it.
/// Returns the first value of `check`, or `None` after `timeout`.
///
/// # Errors
/// The folder cannot be watched.
pub(crate) fn wait_for<T>(
    folder: &Path,
    changes: AddWatchFlags,
    timeout: Duration,
    mut check: impl FnMut() -> Option<T>,
) -> nix::Result<Option<T>> {
    let deadline = Instant::now() + timeout;
    let watched = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let new = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    watched.add_watch(folder, new | changes)?;
    loop {
        if let Some(found) = check() {
            return Ok(Some(found));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, so that the deadline has passed when `poll` reports no event.
        let left = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(watched.as_fd(), PollFlags::POLLIN)], left)? == 0 {
            return Ok(None);
        }
        watched.read_events()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_for_finds_a_late_file_and_times_out_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        let mut checks = 0;
        let mut find = |timeout, appears: bool| {
            wait_for(folder.path(), AddWatchFlags::empty(), timeout, || {
                checks += 1;
                let found = std::fs::read(&disk).ok();
                if appears && found.is_none() {
                    // The file appears after the first check, and after another one.
                    std::fs::write(disk.with_file_name("other"), "").unwrap();
                    std::fs::write(disk.with_extension("new"), "data").unwrap();
                    std::fs::rename(disk.with_extension("new"), &disk).unwrap();
                }
                found
            })
        };
        assert_eq!(find(Duration::from_millis(20), false), Ok(None));
        let found = find(Duration::from_secs(20), true);
        assert_eq!(found, Ok(Some(b"data".to_vec())));
        // It does not poll.
        assert!(checks <= 6, "{checks}");
    }
}
