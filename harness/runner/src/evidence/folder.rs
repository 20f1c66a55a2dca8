//! The evidence folder of a trial. A folder with a start marker and no result belongs to a killed trial.
//!
//! `trial.json` is the start marker. `steps.jsonl` grows with each step. `result.json` is written last and
//! atomically. The machine adds `serial.log`, `events.jsonl`, `qmp.log`, `qemu.sh` and
//! `qemu.log`.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use base::clock::now;
use base::files;
use events::Event;
use machine::LogDir;

/// The format version of the files in an evidence folder. It is incremented when an older harness cannot
/// read them.
pub const VERSION: u32 = 2;

/// An open evidence folder.
#[derive(Debug, Clone)]
pub struct Evidence {
    logs: LogDir,
}

impl Evidence {
    /// Creates a folder `PARENT/NAME-...` and writes the start marker (`trial.json`).
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn begin(parent: &Path, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        let folder = new_folder(parent, &file_name(name))?;
        let evidence = Self {
            logs: LogDir::new(folder),
        };
        evidence.write_whole(
            "trial.json",
            &json!({
                "version": VERSION,
                "name": name,
                "started": now(),
                "pid": std::process::id(),
                "command": std::env::args().collect::<Vec<_>>(),
            }),
        )?;
        Ok(evidence)
    }

    /// The path of the folder.
    pub fn folder(&self) -> &Path {
        self.logs.path()
    }

    /// The folder as the log directory of a machine.
    pub fn logs(&self) -> &LogDir {
        &self.logs
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.logs.file(name)
    }

    /// Adds a file and returns its name. If the name is taken, a number is put before it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn add(&self, name: &str, content: &[u8]) -> io::Result<String> {
        for number in 1.. {
            let name = match number {
                1 => file_name(name),
                _ => format!("{number}-{}", file_name(name)),
            };
            match File::create_new(self.file(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Ok(mut file) => return file.write_all(content).map(|()| name),
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Appends one event to `steps.jsonl` and flushes it.
    pub fn record(&self, event: &Event) {
        let line = serde_json::to_string(event).unwrap_or_default();
        let written = self
            .logs
            .append("steps.jsonl")
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            // A full disk must not change the verdict, so this is only a warning.
            log::warn!("{}: {error}", self.file("steps.jsonl").display());
        }
    }

    /// Writes `result.json` atomically. It is the last file of a trial.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn finish(&self, result: &Value) -> io::Result<()> {
        self.write_whole("result.json", result)
    }

    fn write_whole(&self, name: &str, value: &Value) -> io::Result<()> {
        files::replace(
            &self.file(name),
            files::PRIVATE,
            format!("{value:#}\n").as_bytes(),
        )
    }
}

/// Turns the name of a trial, like `q35::boot`, into a file name.
fn file_name(name: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let parts = name.split(|c| !word(c)).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

/// Creates a folder with a unique name: two trials may begin in the same second, in one process or in two.
fn new_folder(parent: &Path, name: &str) -> io::Result<PathBuf> {
    for number in 0.. {
        let folder = parent.join(format!("{name}-{:.0}-{number}", now().floor()));
        // The folder holds passwords and keys.
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::EventKind;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn evidence_writes_start_steps_and_result() {
        let parent = tempfile::tempdir().unwrap();
        let evidence = Evidence::begin(parent.path(), "q35::boot").unwrap();
        let twin = Evidence::begin(parent.path(), "q35::boot").unwrap();
        assert_ne!(evidence.folder(), twin.folder());
        let mode = evidence.folder().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for name in ["stdout.txt", "2-stdout.txt"] {
            assert_eq!(evidence.add("stdout.txt", b"long").unwrap(), name);
        }
        let event = |duration| Event {
            timestamp: 1.0,
            kind: EventKind::RunEnds { duration },
        };
        evidence.record(&event(1.0));
        evidence.record(&event(2.0));
        assert!(!evidence.file("result.json").exists());
        evidence.finish(&json!({ "verdict": "passed" })).unwrap();
        let steps = std::fs::read_to_string(evidence.file("steps.jsonl")).unwrap();
        assert_eq!(steps.lines().count(), 2);
        let result = std::fs::read_to_string(evidence.file("result.json")).unwrap();
        assert!(result.contains("passed"));
    }

    #[test]
    fn file_name_replaces_separators() {
        assert_eq!(file_name("q35::two-dockers"), "q35-two-dockers");
        assert_eq!(file_name("../a b"), "..-a-b");
    }
}
