//! Log files with a bounded size, and the machine's log.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// A log file is rotated when it is larger than this; the machine's log has the
/// same limit.
const MAX_BYTES: u64 = 256 << 10;

/// Rotates a log file if it is too long, and opens it to append to it.
///
/// # Errors
/// The file cannot be opened.
pub fn open(log: &Path) -> Result<File> {
    // A log that is too long is better than no log.
    let _ = rotate(log);
    OpenOptions::new().create(true).append(true).open(log)
}

/// The machine's log, which programs write to through the socket `/dev/log` (syslog(3)).
pub struct Syslog {
    program: &'static str,
    socket: Option<UnixDatagram>,
}

/// Facility `authpriv` (10), severity `info` (6): RFC 5424, 6.2.1.
const AUTHPRIV_INFO: u8 = 10 * 8 + 6;

impl Syslog {
    /// A log for a program's messages about logins.
    pub fn new(program: &'static str) -> Self {
        let socket = UnixDatagram::unbound().ok();
        if let Some(socket) = &socket {
            // So that a full queue does not block the program.
            let _ = socket.set_nonblocking(true);
        }
        Self { program, socket }
    }

    /// Logs a line; it is lost if syslogd does not run.
    pub fn log(&self, line: &str) {
        let (program, process) = (self.program, std::process::id());
        let text = format!("<{AUTHPRIV_INFO}>{program}[{process}]: {line}");
        if let Some(socket) = &self.socket {
            let _ = socket.send_to(text.as_bytes(), "/dev/log");
        }
    }
}

/// A log file that is also rotated while it is open, for the output of programs that may print without
/// end.
#[derive(Debug)]
pub struct RotatingLog {
    log: PathBuf,
    file: File,
    length: u64,
}

impl RotatingLog {
    /// Opens a file to append to it; only root can read it.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(log: &Path) -> Result<Self> {
        let _ = rotate(log);
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

    /// Appends a line, which has no newline.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_line(&mut self, line: &[u8]) -> Result<()> {
        if self.length > MAX_BYTES {
            *self = Self::open(&self.log)?;
        }
        let line = [line, b"\n"].concat();
        self.length += line.len() as u64;
        self.file.write_all(&line)
    }
}

/// Renames a log file that is too long to `LOG.0`, replacing an older one.
///
/// # Errors
/// The file cannot be renamed.
pub(crate) fn rotate(log: &Path) -> Result<()> {
    let length = match std::fs::metadata(log) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?.len(),
    };
    if length <= MAX_BYTES {
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
    fn open_rotates_the_log_when_it_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let long = vec![b'x'; MAX_BYTES as usize];
        open(&log).unwrap().write_all(&long).unwrap();
        // Exactly the limit: not rotated.
        open(&log).unwrap().write_all(b"y").unwrap();
        open(&log).unwrap().write_all(b"new").unwrap();
        let old = folder.path().join("a.log.0");
        assert_eq!(old.metadata().unwrap().len(), MAX_BYTES + 1);
        assert_eq!(std::fs::read(&log).unwrap(), b"new");
        std::fs::write(&log, vec![b'z'; MAX_BYTES as usize + 7]).unwrap();
        rotate(&log).unwrap();
        assert_eq!(old.metadata().unwrap().len(), MAX_BYTES + 7);
        assert!(!log.exists() && rotate(&log).is_ok());
    }

    #[test]
    fn rotating_log_stays_bounded_when_lines_never_end() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let line = [b'x'; 1023];
        let mut writer = RotatingLog::open(&log).unwrap();
        for _ in 0..4 * MAX_BYTES / 1024 {
            writer.write_line(&line).unwrap();
        }
        writer.write_line(b"the end").unwrap();
        let files = std::fs::read_dir(folder.path()).unwrap();
        let lengths = files.map(|file| file.unwrap().metadata().unwrap().len());
        let lengths: Vec<_> = lengths.collect();
        assert!(
            lengths.len() == 2 && lengths.iter().all(|length| *length <= MAX_BYTES + 1024),
            "{lengths:?}"
        );
        assert!(std::fs::read(&log).unwrap().ends_with(b"x\nthe end\n"));
        assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(writer);
        // A second writer appends.
        RotatingLog::open(&log)
            .unwrap()
            .write_line(b"more")
            .unwrap();
        assert!(std::fs::read(&log).unwrap().ends_with(b"the end\nmore\n"));
    }
}
