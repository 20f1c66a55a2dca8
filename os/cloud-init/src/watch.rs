//! Waiting for what comes by itself, without asking for it over and over.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// What `look` finds: now, or when something has changed in a folder; nothing once it had its time.
///
/// # Errors
/// The folder cannot be watched.
pub(crate) fn look<T>(
    folder: &Path,
    limit: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> nix::Result<Option<T>> {
    let until = Instant::now() + limit;
    let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    // An engine that listens gives its socket an owner and a mode.
    let of_interest =
        AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
    changes.add_watch(folder, of_interest)?;
    loop {
        if let Some(found) = look() {
            return Ok(Some(found));
        }
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, so that the time is over when nothing has changed.
        let left = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(changes.as_fd(), PollFlags::POLLIN)], left)? == 0 {
            return Ok(None);
        }
        changes.read_events()?;
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
        let mut find = |limit| {
            look(folder.path(), limit, || {
                looked += 1;
                std::fs::read(&disk).ok()
            })
        };
        assert_eq!(find(Duration::from_millis(20)), Ok(None));
        let comes = disk.clone();
        let bus = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            std::fs::write(comes.with_file_name("other"), "").unwrap();
            std::fs::write(comes.with_extension("new"), "said").unwrap();
            std::fs::rename(comes.with_extension("new"), comes).unwrap();
        });
        let found = find(Duration::from_secs(20));
        bus.join().unwrap();
        assert_eq!(found, Ok(Some(b"said".to_vec())));
        // Not over and over.
        assert!(looked <= 6, "{looked}");
    }
}
