//! Logs of programs that only ever append to theirs.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

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

/// The machine's log, which programs write to through a socket (syslog(3)).
pub struct Syslog {
    program: &'static str,
    socket: Option<UnixDatagram>,
}

/// Facility `authpriv` (10), severity `info` (6): RFC 5424, 6.2.1.
const AUTHPRIV_INFO: u8 = 10 * 8 + 6;

impl Syslog {
    /// For what a program has to say about logins.
    pub fn of(program: &'static str) -> Self {
        let socket = UnixDatagram::unbound().ok();
        if let Some(socket) = &socket {
            // Nobody waits for a log that is not read.
            let _ = socket.set_nonblocking(true);
        }
        Self { program, socket }
    }

    /// Logs a line. What is said while the log's writer does not run is lost.
    pub fn say(&self, line: &str) {
        let (program, process) = (self.program, std::process::id());
        let text = format!("<{AUTHPRIV_INFO}>{program}[{process}]: {line}");
        if let Some(socket) = &self.socket {
            let _ = socket.send_to(text.as_bytes(), "/dev/log");
        }
    }
}

/// A log that is turned over while it is written, too: what somebody else's program says has no bound.
#[derive(Debug)]
pub struct Lines {
    log: PathBuf,
    file: File,
    length: u64,
}

impl Lines {
    /// Opens it to append to it; what it says is for root alone.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(log: &Path) -> Result<Self> {
        let _ = turn_over(log);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(log)?;
        Ok(Self {
            log: log.into(),
            length: file.metadata()?.len(),
            file,
        })
    }

    /// Writes a line, without its end.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, line: &[u8]) -> Result<()> {
        if self.length > MOST {
            *self = Self::open(&self.log)?;
        }
        let line = [line, b"\n"].concat();
        self.length += line.len() as u64;
        self.file.write_all(&line)
    }
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

    #[test]
    fn who_never_ends_to_talk_fills_no_disk() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let line = [b'x'; 1023];
        let mut lines = Lines::open(&log).unwrap();
        for _ in 0..4 * MOST / 1024 {
            lines.write(&line).unwrap();
        }
        lines.write(b"the end").unwrap();
        let files = std::fs::read_dir(folder.path()).unwrap();
        let lengths = files.map(|file| file.unwrap().metadata().unwrap().len());
        let lengths: Vec<_> = lengths.collect();
        assert!(
            lengths.len() == 2 && lengths.iter().all(|length| *length <= MOST + 1024),
            "{lengths:?}"
        );
        assert!(std::fs::read(&log).unwrap().ends_with(b"x\nthe end\n"));
        assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(lines);
        // It goes on where it was.
        Lines::open(&log).unwrap().write(b"more").unwrap();
        assert!(std::fs::read(&log).unwrap().ends_with(b"the end\nmore\n"));
    }
}
