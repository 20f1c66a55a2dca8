//! Telling how the boot goes: a line on the console for people, a JSON object on the boot-event port
//! for programs.
//!
//! The port is a virtio-serial port named [`PORT`]; a machine that has none is not told. Each line is
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
    /// What was done.
    pub stage: &'a str,
    /// Seconds since the kernel started, on the monotonic clock.
    pub seconds: f64,
    /// Present and true when it went well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ok: bool,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// With an error: whether the boot ends here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fatal: Option<bool>,
    /// With the stage `started`: the version of the OS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// A stage that went well, now.
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

    /// A stage that failed, now.
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
    // The clock exists on every Linux; zero would only be an odd time in a report.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    (now.as_secs_f64() * 1000.0).round() / 1000.0
}

/// For the host to read what is in the queue.
const FULL_MILLIS: u16 = 1000;

/// Nobody listens to a machine that has so many bytes to say.
const MOST_PENDING: usize = 64 << 10;

/// Where reports go. Reporting never fails a boot: what cannot be written is dropped.
#[derive(Debug, Default)]
pub struct Report {
    console: Option<File>,
    port: Option<File>,
    /// Lines from before `/dev` was there, or from before somebody listened.
    pending: Vec<u8>,
}

impl Report {
    /// Reports to what `/dev` and `/sys` have; call [`Report::open`] when they are mounted.
    pub fn new() -> Self {
        let mut report = Self::default();
        report.open();
        report
    }

    /// Opens what is not open yet, and sends what was kept back for it.
    pub fn open(&mut self) {
        let write = |path: &str| OpenOptions::new().write(true).open(path).ok();
        self.console = self.console.take().or_else(|| write("/dev/console"));
        if self.port.is_none() {
            self.port = find_port().and_then(|path| write(&path));
        }
        self.flush();
    }

    /// Sends what is pending, if somebody holds the other end of the port: a write would wait for
    /// them, and a machine with nobody there must boot all the same.
    fn flush(&mut self) {
        if let Some(port) = &mut self.port
            && !self.pending.is_empty()
            && is_listened_to(port)
        {
            let _ = port.write_all(&self.pending);
            self.pending.clear();
        }
        if self.pending.len() > MOST_PENDING {
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
        // The port is one program's at a time: init may still have had it when we were started.
        self.open();
    }

    /// Says a line to whoever watches the console.
    pub fn say(&mut self, text: &str) {
        if let Some(console) = &mut self.console {
            // In one write, so that the kernel's lines do not come between.
            let _ = console.write_all(format!("{text}\r\n").as_bytes());
        }
    }

    /// Both: a stage failed.
    pub fn failure(&mut self, stage: &str, error: &str, fatal: bool) {
        let outcome = if fatal {
            "the boot ends here"
        } else {
            "the boot goes on"
        };
        self.say(&format!("rancher: {stage} failed: {error}; {outcome}"));
        self.event(&Event::failed(stage, error, fatal));
    }
}

/// A port whose other end nobody holds reports a hang-up (`port_fops_poll` in the kernel's
/// `virtio_console.c`); one whose queue is full becomes writable when the host has read.
fn is_listened_to(port: &File) -> bool {
    let mut fds = [PollFd::new(port.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, FULL_MILLIS).is_ok()
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
    fn a_port_whose_other_end_nobody_holds_is_not_written_to() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let port = File::from(std::os::fd::OwnedFd::from(ours));
        assert!(is_listened_to(&port));
        // Not dropped: a child of another test may hold a copy for a moment.
        theirs.shutdown(std::net::Shutdown::Both).unwrap();
        assert!(!is_listened_to(&port));
    }

    #[test]
    fn events_are_what_the_harness_reads() {
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
