//! The task that owns the serial port.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::times::Times;
use super::{Shared, Watch};
use crate::console::scan::Rules;
use crate::error::GuestFailure;
use crate::lines::Ends;

/// Delay of the report of a failure, so that the log contains the trace that follows the line.
const REPORT_DELAY: Duration = Duration::from_millis(300);

/// Bytes of a line; a longer line is scanned in pieces.
const MAX_LINE: usize = 64 << 10;

/// Reads, logs and scans the output.
pub(super) struct Console {
    shared: Arc<Shared>,
    log: File,
    times: Times,
    /// Bytes of an incomplete character.
    partial: Vec<u8>,
    /// Text of an incomplete line.
    line: String,
    rules: Rules,
    reported: watch::Sender<Option<GuestFailure>>,
    /// The first line that means a failure, and when to report it.
    found: Option<(GuestFailure, Instant)>,
}

impl Console {
    pub(super) fn new(
        shared: Arc<Shared>,
        log: File,
        times: Times,
        rules: Rules,
        reported: watch::Sender<Option<GuestFailure>>,
    ) -> Self {
        Self {
            shared,
            log,
            times,
            partial: vec![],
            line: String::new(),
            rules,
            reported,
            found: None,
        }
    }

    /// Runs until no port follows.
    pub(super) async fn run(mut self, mut ports: Ends, mut typed: mpsc::Receiver<Vec<u8>>) {
        while let Some(port) = ports.recv().await {
            self.serve(port, &mut typed).await;
        }
        self.report();
        self.shared.lock().taps.clear();
        self.shared.closed.send_replace(true);
        // Wakes the waits: no more output follows.
        self.shared.grown.send_modify(|_| {});
    }

    /// Serves one port until QEMU closes it.
    async fn serve(&mut self, port: UnixStream, typed: &mut mpsc::Receiver<Vec<u8>>) {
        let (mut read, mut write) = port.into_split();
        // Concurrent with reading: a guest that does not read must not block the reader.
        let mut typing = std::pin::pin!(async move {
            while let Some(bytes) = typed.recv().await
                && write.write_all(&bytes).await.is_ok()
            {}
            // The guest gets no more input.
            drop(write);
            std::future::pending::<()>().await;
        });
        let mut buffer = [0; 4096];
        loop {
            let report_at = self.found.as_ref().map(|(_, at)| *at);
            tokio::select! {
                got = read.read(&mut buffer) => match got {
                    Ok(0) | Err(_) => return,
                    Ok(n) => self.receive(&buffer[..n]),
                },
                () = &mut typing => {}
                () = tokio::time::sleep_until(report_at.unwrap_or_else(Instant::now)), if report_at.is_some() => self.report(),
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.times.note(bytes.len());
        // A log that cannot be written (a full disk) must not stop the scan.
        let _ = self.log.write_all(bytes);
        let text = self.decode(bytes);
        let length = self.store(&text, bytes);
        self.scan(&text);
        self.shared.grown.send_replace(length);
    }

    fn store(&self, text: &str, bytes: &[u8]) -> usize {
        let mut state = self.shared.lock();
        state.taps.retain(|tap| tap.send(bytes.to_vec()).is_ok());
        state.add(text)
    }

    /// Decodes lossily. A character that a read cut in two is completed by the next read.
    fn decode(&mut self, bytes: &[u8]) -> String {
        self.partial.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.partial) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => self.whole_characters(),
            Ok(_) => self.partial.len(),
        };
        let rest = self.partial.split_off(whole);
        let text = String::from_utf8_lossy(&self.partial).into_owned();
        self.partial = rest;
        text
    }

    /// If there is an invalid byte: the length without an incomplete character at the end.
    fn whole_characters(&self) -> usize {
        let last = self
            .partial
            .utf8_chunks()
            .last()
            .map_or(&b""[..], |chunk| chunk.invalid());
        let unfinished = std::str::from_utf8(last).is_err_and(|e| e.error_len().is_none());
        self.partial.len() - if unfinished { last.len() } else { 0 }
    }

    fn scan(&mut self, text: &str) {
        for piece in text.split_inclusive('\n') {
            self.line.push_str(piece);
            if !piece.ends_with('\n') && self.line.len() < MAX_LINE {
                return;
            }
            let line = std::mem::take(&mut self.line);
            if self.found.is_none()
                && let Some(failure) = self.rules.judge(&line)
                && !self.expected(&failure)
            {
                self.found = Some((failure, Instant::now() + REPORT_DELAY));
            }
        }
    }

    /// Whether a line belongs to an expected panic.
    fn expected(&self, failure: &GuestFailure) -> bool {
        let mut state = self.shared.lock();
        if state.watch == Watch::PanicExpected && matches!(failure, GuestFailure::Panic { .. }) {
            state.watch = Watch::Panicked;
        }
        state.watch == Watch::Panicked
    }

    /// Reports the first failure: it is the cause of later ones.
    fn report(&mut self) {
        if let Some((failure, _)) = self.found.take() {
            self.reported.send_if_modified(|reported| {
                let first = reported.is_none();
                reported.get_or_insert(failure);
                first
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::serial::Serial;
    use crate::lines;
    use regex::Regex;

    struct Bench {
        guest: UnixStream,
        serial: Serial,
        reported: watch::Receiver<Option<GuestFailure>>,
        log: tempfile::NamedTempFile,
    }

    fn bench() -> Bench {
        let (guest, port) = UnixStream::pair().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let (report, reported) = watch::channel(None);
        let serial = Serial::new(
            lines::only(port),
            log.reopen().unwrap(),
            tempfile::tempfile().unwrap(),
            Rules::default(),
            report,
        );
        Bench {
            guest,
            serial,
            reported,
            log,
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn expect_finds_matches_one_after_another() {
        let mut bench = bench();
        bench.guest.write_all(b"one \xc3").await.unwrap();
        let one = Regex::new(r"\bon\w").unwrap();
        assert_eq!(bench.serial.expect(&one, LONG).await.unwrap(), "one");
        bench.guest.write_all(b"\xa9 \xff one\n").await.unwrap();
        assert_eq!(bench.serial.expect(&one, LONG).await.unwrap(), "one");
        assert_eq!(bench.serial.text().trim_end(), "one \u{e9} \u{fffd} one");
        assert_eq!(
            std::fs::read(bench.log.path()).unwrap(),
            b"one \xc3\xa9 \xff one\n"
        );
        let error = bench
            .serial
            .expect(&one, Duration::from_millis(20))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("one \u{e9}"), "{error}");
    }

    #[tokio::test]
    async fn panic_is_reported_with_its_first_line() {
        let mut bench = bench();
        bench
            .guest
            .write_all(b"login: [ 1.0] Kernel panic - not sync")
            .await
            .unwrap();
        bench
            .guest
            .write_all(b"ing: why\r\n[ 1.1] BUG: later\r\n")
            .await
            .unwrap();
        let reported = bench
            .reported
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone()
            .unwrap();
        insta::assert_snapshot!(reported, @"guest failure on the console: kernel panic: login: [ 1.0] Kernel panic - not syncing: why");
    }

    #[tokio::test]
    async fn expected_panic_is_ignored_and_the_next_failure_is_reported() {
        let mut bench = bench();
        let panic = b"[ 1.0] Kernel panic - not syncing: meant\r\n[ 1.1] BUG: after it\r\n";
        bench.serial.expect_panic();
        bench.guest.write_all(panic).await.unwrap();
        let after = Regex::new("BUG: after it").unwrap();
        bench.serial.expect(&after, LONG).await.unwrap();
        bench.serial.end_expected_panic();
        bench.guest.write_all(b"[ 0.1] BUG: new\r\n").await.unwrap();
        let reported = bench
            .reported
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone();
        let failure = reported.unwrap().to_string();
        assert!(failure.ends_with("BUG: new"), "{failure}");
    }

    #[tokio::test]
    async fn expected_panic_does_not_excuse_a_failure_before_it() {
        let mut bench = bench();
        bench.serial.expect_panic();
        bench
            .guest
            .write_all(b"[ 0.1] BUG: first\r\n")
            .await
            .unwrap();
        let reported = bench
            .reported
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone();
        let failure = reported.unwrap().to_string();
        assert!(failure.ends_with("BUG: first"), "{failure}");
    }

    #[tokio::test]
    async fn expect_is_linear_and_memory_bounded_when_a_guest_prints_much() {
        let mut bench = bench();
        let noise = "nothing of interest\n".repeat(3277);
        let talk = async {
            for _ in 0..400 {
                bench.guest.write_all(noise.as_bytes()).await.unwrap();
            }
            bench.guest.write_all(b"but now: wor").await.unwrap();
            bench.guest.write_all(b"d\nmore").await.unwrap();
        };
        let word = Regex::new(r"(?m)^but .*word$").unwrap();
        let began = Instant::now();
        let (found, ()) = tokio::join!(bench.serial.expect(&word, LONG), talk);
        assert_eq!(found.unwrap(), "but now: word");
        assert!(bench.serial.text().len() <= 2 * super::super::MIN_KEPT);
        // Once the whole text was searched at each read: 26 MB, six thousand times.
        assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
        let more = Regex::new("more").unwrap();
        bench.serial.expect(&more, LONG).await.unwrap();
    }

    #[tokio::test]
    async fn echo_of_a_sent_line_is_not_an_answer() {
        let mut bench = bench();
        let done = Regex::new("DONE").unwrap();
        let line = "sleep 20; false && echo DONE";
        bench.serial.send_line(line).await.unwrap();
        for part in ["$ sleep 20; false && ec", "ho DONE", "\r\nfalse\r\n"] {
            bench.guest.write_all(part.as_bytes()).await.unwrap();
        }
        let short = Duration::from_millis(200);
        let late = bench.serial.expect(&done, short).await.unwrap_err();
        assert!(late.to_string().contains("timed out"), "{late}");
        bench.guest.write_all(b"all is DONE\r\n").await.unwrap();
        bench.serial.expect(&done, LONG).await.unwrap();
    }

    #[tokio::test]
    async fn closed_port_ends_waits() {
        let bench = bench();
        drop(bench.guest);
        let error = bench
            .serial
            .expect(&Regex::new("x").unwrap(), LONG)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("closed"), "{error}");
    }
}
