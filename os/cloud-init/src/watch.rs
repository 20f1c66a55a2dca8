//! Waiting for what comes by itself, without asking for it over and over.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// What `look` finds: now, or when a folder has got something new or, where that is told, such changes;
/// nothing once it had its time.
///
/// # Errors
/// The folder cannot be watched.
pub(crate) fn look<T>(
    folder: &Path,
    changes: AddWatchFlags,
    limit: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> nix::Result<Option<T>> {
    let until = Instant::now() + limit;
    let watched = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let new = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    watched.add_watch(folder, new | changes)?;
    loop {
        if let Some(found) = look() {
            return Ok(Some(found));
        }
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, so that the time is over when nothing has changed.
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
    fn what_comes_late_is_found_and_what_does_not_come_is_not_waited_for_longer() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        let mut looked = 0;
        let mut find = |limit, comes: bool| {
            look(folder.path(), AddWatchFlags::empty(), limit, || {
                looked += 1;
                let found = std::fs::read(&disk).ok();
                if comes && found.is_none() {
                    // Only now, and something else first.
                    std::fs::write(disk.with_file_name("other"), "").unwrap();
                    std::fs::write(disk.with_extension("new"), "said").unwrap();
                    std::fs::rename(disk.with_extension("new"), &disk).unwrap();
                }
                found
            })
        };
        assert_eq!(find(Duration::from_millis(20), false), Ok(None));
        let found = find(Duration::from_secs(20), true);
        assert_eq!(found, Ok(Some(b"said".to_vec())));
        // Not over and over.
        assert!(looked <= 6, "{looked}");
    }
}
