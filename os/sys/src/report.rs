//! Reports the progress of the boot: lines on the console for people, JSON objects on the boot-event
//! port for programs.
//!
//! The port is a virtio-serial port named [`PORT`]; without it no events are sent. Each line is
//! `{"stage": NAME, "seconds": MONOTONIC, "ok": true}`, or `"error": TEXT, "fatal": BOOL` in place of
//! `"ok"`; the stage `started` also carries `"version"`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The name of the boot-event port.
pub const PORT: &str = "io.rancher.os.boot";

/// One line on the boot-event port.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// The name of the stage or of the service.
    pub stage: &'a str,
    /// Seconds since the kernel started, on the monotonic clock.
    pub seconds: f64,
    /// Present and true if it succeeded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ok: bool,
    /// The error, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// With an error: whether the boot stops here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fatal: Option<bool>,
    /// With the stage `started`: the version of the OS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// The event of a stage that succeeded now.
    pub fn ok(stage: &'a str) -> Self {
        Self {
            stage,
            seconds: seconds(),
            ok: true,
            error: None,
            fatal: None,
            version: None,
        }
    }

    /// The event of a stage that failed now.
    pub fn failed(stage: &'a str, error: &'a str, fatal: bool) -> Self {
        Self {
            ok: false,
            error: Some(error),
            fatal: Some(fatal),
            ..Self::ok(stage)
        }
    }
}

/// Seconds since the kernel started.
fn seconds() -> f64 {
    // Every Linux has this clock; a zero would only be a wrong timestamp in a report.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    (now.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The timeout in milliseconds for the host to read from a full queue.
const FULL_QUEUE_MILLIS: u16 = 1000;

/// When more bytes than this are pending, nothing reads the port and they are dropped.
const MAX_PENDING: usize = 64 << 10;

/// The console and the boot-event port. Reports that cannot be written are dropped: they must not fail
/// the boot.
#[derive(Debug, Default)]
pub struct Report {
    console: Option<File>,
    port: Option<File>,
    /// Events from before `/dev` was mounted, or from before the host opened the port.
    pending: Vec<u8>,
}

impl Report {
    /// Opens the console and the port. PID 1 starts with the default value instead, and calls
    /// [`Report::open`] when `/dev` and `/sys` are mounted.
    pub fn new() -> Self {
        let mut report = Self::default();
        report.open();
        report
    }

    /// Opens the console and the port, if they are not open yet, and sends pending events.
    pub fn open(&mut self) {
        let write = |path: &str| OpenOptions::new().write(true).open(path).ok();
        self.console = self.console.take().or_else(|| write("/dev/console"));
        if self.port.is_none() {
            self.port = find_port().and_then(|path| write(&path));
        }
        self.flush();
    }

    /// Sends pending events, if the host has opened the port: otherwise a write would block, and the
    /// machine must boot without a reader, too.
    fn flush(&mut self) {
        if let Some(port) = &mut self.port
            && !self.pending.is_empty()
            && has_reader(port)
        {
            let _ = port.write_all(&self.pending);
            self.pending.clear();
        }
        if self.pending.len() > MAX_PENDING {
            self.pending.clear();
        }
    }

    /// Sends an event.
    pub fn event(&mut self, event: &Event<'_>) {
        let Ok(mut line) = serde_json::to_vec(event) else {
            return;
        };
        line.push(b'\n');
        self.pending.extend(line);
        // Only one process can open the port: `init` may still have had it when this process started.
        self.open();
    }

    /// Prints a line on the console.
    pub fn print(&mut self, text: &str) {
        if let Some(console) = &mut self.console {
            // One write, so that the kernel's messages do not split the line.
            let _ = console.write_all(format!("{text}\r\n").as_bytes());
        }
    }

    /// Reports the failure of a stage, on the console and as an event.
    pub fn failure(&mut self, stage: &str, error: &str, fatal: bool) {
        let outcome = if fatal {
            "the boot ends here"
        } else {
            "the boot goes on"
        };
        self.print(&format!("rancher: {stage} failed: {error}; {outcome}"));
        self.event(&Event::failed(stage, error, fatal));
    }
}

/// Whether the host has opened the port: poll(2) reports a hang-up if it has not (`port_fops_poll` in the
/// kernel's `virtio_console.c`). A port with a full queue becomes writable when the host reads.
fn has_reader(port: &File) -> bool {
    let mut fds = [PollFd::new(port.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, FULL_QUEUE_MILLIS).is_ok()
        && fds[0].revents().is_some_and(|seen| {
            seen.contains(PollFlags::POLLOUT) && !seen.contains(PollFlags::POLLHUP)
        })
}

fn find_port() -> Option<String> {
    let ports = std::fs::read_dir("/sys/class/virtio-ports").ok()?;
    ports.flatten().find_map(|port| {
        let name = std::fs::read_to_string(port.path().join("name")).ok()?;
        (name.trim() == PORT).then(|| format!("/dev/{}", port.file_name().to_string_lossy()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_reader_is_false_when_the_other_end_is_closed() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let port = File::from(std::os::fd::OwnedFd::from(ours));
        assert!(has_reader(&port));
        // Not dropped: a child of another test may have a copy of the descriptor for a moment.
        theirs.shutdown(std::net::Shutdown::Both).unwrap();
        assert!(!has_reader(&port));
    }

    #[test]
    fn events_are_the_json_lines_that_the_harness_reads() {
        let mut events = [
            Event::ok("mounts"),
            Event::failed("state", "no such device", false),
            Event {
                version: Some("1.0"),
                ..Event::ok("started")
            },
        ];
        for event in &mut events {
            event.seconds = 1.25;
        }
        let lines: Vec<_> = events
            .iter()
            .map(|e| serde_json::to_string(e).unwrap())
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
