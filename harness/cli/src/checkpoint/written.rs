//! Whether a checkpoint is on disk, and would outlive a power cut of the host.
//!
//! Nobody waits for that: half a gigabyte takes a disk a second or more, which is as long as all of a
//! fork. As long as the host runs, what was written is there, whatever of it the disk has; that
//! it is the same run is told by the host's boot id. A thread sees to it that the disk has it all, and
//! leaves a mark then. Without the mark, a checkpoint of before the host was started anew is made
//! anew: sizes would not tell, for a file may have its size and lack what it holds.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use host;

/// The host's boot id when it was made.
pub(super) const BOOT: &str = "host-boot";
/// The disk has all of it.
pub(super) const MARK: &str = "on-disk";

/// Notes which run of the host makes it.
pub(super) fn sign(folder: &Path) -> io::Result<()> {
    std::fs::write(folder.join(BOOT), host::boot_id()?)
}

/// What was written can be read, all of it.
pub(super) fn check(folder: &Path) -> Result<(), String> {
    if folder.join(MARK).exists() {
        return Ok(());
    }
    let made = std::fs::read_to_string(folder.join(BOOT)).ok();
    match made.is_some() && made == host::boot_id().ok() {
        true => Ok(()),
        false => Err(format!(
            "{} was not known to be on disk when this host was started anew",
            folder.display()
        )),
    }
}

/// Sees to it that the disk has all of it, beside what goes on. Where that fails, or this process ends
/// before, the next one that uses it does it.
pub(super) fn write_out(folder: &Path) {
    if folder.join(MARK).exists() {
        return;
    }
    // Another one may take its place and its name; this stays this one.
    if let Ok(folder) = File::open(folder) {
        std::thread::spawn(move || write_all(&folder));
    }
}

fn write_all(folder: &File) -> io::Result<()> {
    for entry in std::fs::read_dir(path_of(folder))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    folder.sync_all()?;
    set_mark(folder)
}

fn set_mark(folder: &File) -> io::Result<()> {
    File::create(path_of(folder).join(MARK))?.sync_all()?;
    folder.sync_all()
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
    async fn after_a_power_cut_only_what_was_on_disk_counts() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("checkpoint");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("memory"), "much").unwrap();
        // Of a maker that did not know of this.
        assert!(check(&folder).is_err());
        sign(&folder).unwrap();
        check(&folder).unwrap();
        let another_run = || std::fs::write(folder.join(BOOT), "another").unwrap();
        another_run();
        let why = check(&folder).unwrap_err();
        assert!(why.contains("started anew"), "{why}");

        sign(&folder).unwrap();
        write_out(&folder);
        let marked = async || match folder.join(MARK).exists() {
            true => Poll::Ready(()),
            false => Poll::NotYet("no mark".to_owned()),
        };
        let limit = Duration::from_secs(60);
        wait_until("the mark", limit, marked).await.unwrap();
        another_run();
        check(&folder).unwrap();
    }

    #[test]
    fn the_mark_goes_to_no_other_checkpoint_of_that_name() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("checkpoint");
        std::fs::create_dir(&folder).unwrap();
        let first = File::open(&folder).unwrap();
        std::fs::remove_dir(&folder).unwrap();
        std::fs::create_dir(&folder).unwrap();
        assert!(write_all(&first).is_err());
        assert!(!folder.join(MARK).exists());
    }

    #[test]
    fn one_goes_while_its_mark_is_set() {
        let parent = tempfile::tempdir().unwrap();
        for number in 0..100 {
            let folder = parent.path().join(number.to_string());
            std::fs::create_dir(&folder).unwrap();
            // Enough that it takes a while to take them away.
            for file in 0..50 {
                File::create(folder.join(file.to_string())).unwrap();
            }
            let open = File::open(&folder).unwrap();
            let marking = std::thread::spawn(move || set_mark(&open));
            remove(&folder).unwrap();
            let _ = marking.join().unwrap();
            assert!(!folder.exists());
        }
    }
}
