//! Logs of programs that only ever append to theirs.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result};
use std::path::Path;

/// A log of so many octets is continued in a new file; the machine's log has the same measure.
const MOST: u64 = 256 << 10;

/// Opens a log to append to it, after [`turn_over`].
///
/// # Errors
/// It cannot be written.
pub fn open(log: &Path) -> Result<File> {
    // One that is too long is better than none.
    let _ = turn_over(log);
    OpenOptions::new().create(true).append(true).open(log)
}

/// Gives a log that is long the name `LOG.0`, in the place of an older one.
///
/// # Errors
/// It cannot be renamed.
pub fn turn_over(log: &Path) -> Result<()> {
    let length = match std::fs::metadata(log) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?.len(),
    };
    if length <= MOST {
        return Ok(());
    }
    let mut old = log.as_os_str().to_owned();
    old.push(".0");
    std::fs::rename(log, old)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_long_log_is_continued_in_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let long = vec![b'x'; MOST as usize];
        open(&log).unwrap().write_all(&long).unwrap();
        // Not longer than it may be.
        open(&log).unwrap().write_all(b"y").unwrap();
        open(&log).unwrap().write_all(b"new").unwrap();
        let old = folder.path().join("a.log.0");
        assert_eq!(old.metadata().unwrap().len(), MOST + 1);
        assert_eq!(std::fs::read(&log).unwrap(), b"new");
        std::fs::write(&log, vec![b'z'; MOST as usize + 7]).unwrap();
        turn_over(&log).unwrap();
        assert_eq!(old.metadata().unwrap().len(), MOST + 7);
        assert!(!log.exists() && turn_over(&log).is_ok());
    }
}
