//! Whether a checkpoint is synced to disk and survives a power cut of the host.
//!
//! No trial waits for the sync: writing half a gigabyte takes a second or more, as long as a whole
//! fork. Until the host reboots, the page cache holds everything that was written; the boot id of the host
//! identifies one uptime. A thread syncs the files and then creates a mark file. After a
//! reboot of the host, a checkpoint without the mark is created again. File sizes are no proof: after a power
//! cut a file can have its full size and lack its content.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use host;

/// The file with the host's boot id at the time of creation.
pub(super) const BOOT: &str = "host-boot";
/// The mark file: everything is synced to disk.
pub(super) const MARK: &str = "on-disk";

/// Records the boot id of the host.
pub(super) fn sign(folder: &Path) -> io::Result<()> {
    std::fs::write(folder.join(BOOT), host::boot_id()?)
}

/// Whether the whole content is readable: it is synced, or the host has not rebooted since.
pub(super) fn is_whole(folder: &Path) -> bool {
    let made = || std::fs::read_to_string(folder.join(BOOT)).ok();
    folder.join(MARK).exists() || made().is_some_and(|made| host::boot_id().ok() == Some(made))
}

/// Syncs the checkpoint in a background thread. If that fails, or this process exits before, the next
/// process that uses the checkpoint syncs it.
pub(super) fn write_out(folder: &Path) {
    if folder.join(MARK).exists() {
        return;
    }
    // Another checkpoint may replace the folder under the same name; the descriptor keeps this one.
    if let Ok(folder) = File::open(folder) {
        std::thread::spawn(move || write_all(folder));
    }
}

fn write_all(folder: File) -> io::Result<()> {
    sync_below(&path_of(&folder))?;
    folder.sync_all()?;
    set_mark(folder)
}

/// Syncs the files of a folder and of those in it: a cluster's machines have a folder each.
fn sync_below(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_below(&entry.path())?;
        }
        if kind.is_dir() || kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    Ok(())
}

/// Creates the mark file. [`folder::remove`](super::folder::remove) takes the same lock: a file that appeared
/// in the folder during the removal would make it fail.
fn set_mark(folder: File) -> io::Result<()> {
    let folder = lock(folder)?;
    File::create(path_of(&folder).join(MARK))?.sync_all()?;
    folder.sync_all()
}

/// Locks the folder itself, for as long as a mark is created or the folder is removed.
pub(super) fn lock(folder: File) -> io::Result<Flock<File>> {
    Flock::lock(folder, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

fn path_of(folder: &File) -> PathBuf {
    format!("/proc/self/fd/{}", folder.as_raw_fd()).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::folder::remove;
    use super::*;
    use base::wait::{Poll, wait_until};

    #[tokio::test]
    async fn only_a_synced_checkpoint_is_whole_after_a_host_reboot() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("checkpoint");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("memory"), "much").unwrap();
        // Without a boot id.
        assert!(!is_whole(&folder));
        sign(&folder).unwrap();
        assert!(is_whole(&folder));
        let reboot = || std::fs::write(folder.join(BOOT), "another").unwrap();
        reboot();
        assert!(!is_whole(&folder));

        sign(&folder).unwrap();
        write_out(&folder);
        let marked = async || {
            if folder.join(MARK).exists() {
                Poll::Ready(())
            } else {
                Poll::NotYet("no mark".to_owned())
            }
        };
        let limit = Duration::from_secs(60);
        wait_until("the mark", limit, marked).await.unwrap();
        reboot();
        assert!(is_whole(&folder));
    }

    #[test]
    fn write_all_marks_no_other_checkpoint_of_the_same_name() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("checkpoint");
        std::fs::create_dir(&folder).unwrap();
        let first = File::open(&folder).unwrap();
        std::fs::remove_dir(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        assert!(write_all(first).is_err());
        assert!(!folder.join(MARK).exists());
    }

    #[test]
    fn remove_succeeds_while_the_mark_is_created() {
        let parent = tempfile::tempdir().unwrap();
        for number in 0..100 {
            let folder = parent.path().join(number.to_string());
            std::fs::create_dir(&folder).unwrap();
            // Enough files for the removal to overlap with the other thread.
            for file in 0..50 {
                File::create(folder.join(file.to_string())).unwrap();
            }
            // Each use of a checkpoint without a mark starts a thread.
            let marking = [0, 1, 2, 3, 4, 5, 6, 7].map(|thread| {
                let open = File::open(&folder).unwrap();
                std::thread::spawn(move || {
                    // The threads create their marks one after the other, some between two tries to remove.
                    std::thread::sleep(Duration::from_micros(thread * 100));
                    set_mark(open)
                })
            });
            remove(&folder).unwrap();
            for thread in marking {
                let _ = thread.join().unwrap();
            }
            assert!(!folder.exists());
        }
    }
}
