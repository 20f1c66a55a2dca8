//! The serial line. One task owns the port, logs all output, scans it, and serves waits.

mod console;
mod echo;
mod run;
mod times;

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regex::Regex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::console::login;
use crate::console::scan::Rules;
use crate::error::{FailureWatch, GuestFailure, MachineError, until_fatal};
use crate::lines::Ends;
use base::text::{ceil_boundary, floor_boundary};
use base::wait::WaitError;
use console::Console;
use echo::Sent;
use times::Times;

/// Number of lines that the error of a wait shows.
const LAST_LINES: usize = 10;

/// The serial line. `serial.log` of the evidence folder holds all output from the first byte;
/// `serial.times` holds its timestamps.
pub struct Serial {
    shared: Arc<Shared>,
    type_in: mpsc::Sender<Vec<u8>>,
    failure: FailureWatch,
}

/// State shared by the owning task and the waits.
struct Shared {
    state: Mutex<State>,
    /// Bytes of text received so far.
    grown: watch::Sender<usize>,
    closed: watch::Sender<bool>,
}

/// How the scan treats lines that mean a guest failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Watch {
    /// Each ends the trial.
    #[default]
    On,
    /// A scenario causes a panic on purpose; it does not end the trial.
    PanicExpected,
    /// The expected panic happened; the lines after it are ignored.
    Panicked,
}

/// Minimum of text bytes kept in memory; `serial.log` has all of it.
const MIN_KEPT: usize = 4 << 20;
/// Longest match, in bytes, that is guaranteed to be found if it arrives in pieces.
const MAX_MATCH: usize = 64 << 10;

#[derive(Default)]
struct State {
    /// The tail of the output.
    text: String,
    /// Bytes of output before `text`.
    dropped: usize,
    /// Offset in `text` at which the next `expect` starts.
    cursor: usize,
    watch: Watch,
    /// Lines that were typed. `expect` ignores their echo.
    sent: Sent,
    /// Raw copies of the output, for a terminal and for login dialogues.
    taps: Vec<mpsc::UnboundedSender<Vec<u8>>>,
}

impl State {
    /// Appends output, and returns the number of bytes received in total. When the text is twice as long
    /// as the minimum, its first half is dropped, so that each byte is moved once.
    fn add(&mut self, text: &str) -> usize {
        self.text.push_str(text);
        if self.text.len() > 2 * MIN_KEPT {
            let dropped = ceil_boundary(&self.text, self.text.len() - MIN_KEPT);
            self.text.drain(..dropped);
            self.dropped += dropped;
            self.cursor = self.cursor.saturating_sub(dropped);
            self.sent.forget(dropped);
        }
        self.dropped + self.text.len()
    }

    /// Finds the first match after the cursor that is no echo, and moves the cursor behind it. Bytes
    /// before `searched` (counted from the first byte received) were searched already, except for a match
    /// that is still incomplete.
    fn take_match(&mut self, pattern: &Regex, searched: usize) -> Option<String> {
        let unsearched = searched.saturating_sub(self.dropped + MAX_MATCH);
        let from = floor_boundary(&self.text, unsearched.max(self.cursor));
        // An echo may have begun earlier.
        let before = from.saturating_sub(MAX_MATCH).max(self.cursor);
        let before = floor_boundary(&self.text, before);
        let without_echo = self.sent.without_echo(&self.text, before);
        let (text, end) = without_echo.into_iter().find_map(|part| {
            let begin = from.max(part.start).checked_sub(part.start)?;
            if part.start + begin > part.end {
                return None;
            }
            let found = pattern.find_at(&self.text[part.clone()], begin)?;
            Some((found.as_str().to_owned(), part.start + found.end()))
        })?;
        self.cursor = end;
        Some(text)
    }

    fn record_sent(&mut self, line: &str) {
        self.sent.add(self.text.len(), line);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serial {
    /// Takes over the ports; must be called inside a tokio runtime.
    pub(crate) fn new(
        ports: Ends,
        log: File,
        times: File,
        rules: Rules,
        reported: watch::Sender<Option<GuestFailure>>,
    ) -> Self {
        let (type_in, typed) = mpsc::channel(64);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            grown: watch::Sender::new(0),
            closed: watch::Sender::new(false),
        });
        let before = log.metadata().map_or(0, |log| log.len());
        let times = Times::new(times, usize::try_from(before).unwrap_or_default());
        let failure = reported.subscribe();
        tokio::spawn(
            Console::new(Arc::clone(&shared), log, times, rules, reported).run(ports, typed),
        );
        Self {
            shared,
            type_in,
            failure,
        }
    }

    /// Waits until the output since the last match (or since the start) matches `pattern`. Ignores the
    /// echo of a line that was [sent](Self::send_line).
    ///
    /// # Errors
    /// The deadline, with the last lines seen; the guest panicked or QEMU exited.
    pub async fn expect(&self, pattern: &Regex, limit: Duration) -> Result<String, MachineError> {
        until_fatal(&self.failure, self.find(pattern, limit)).await
    }

    async fn find(&self, pattern: &Regex, limit: Duration) -> Result<String, MachineError> {
        let what = format!("serial output matching `{pattern}`");
        let mut grown = self.shared.grown.subscribe();
        let end = Instant::now() + limit;
        let mut searched = 0;
        loop {
            let length = *grown.borrow_and_update();
            if let Some(found) = self.shared.lock().take_match(pattern, searched) {
                return Ok(found);
            }
            searched = length;
            if *self.shared.closed.borrow() {
                let why = format!(
                    "the serial port is closed; last lines: {}",
                    self.last_lines()
                );
                return Err(WaitError::failed(&what, why).into());
            }
            if tokio::time::timeout_at(end, grown.changed()).await.is_err() {
                return Err(WaitError::deadline(&what, limit, self.last_lines()).into());
            }
        }
    }

    pub(crate) fn last_lines(&self) -> String {
        let state = self.shared.lock();
        let lines: Vec<_> = state.text.lines().rev().take(LAST_LINES).collect();
        lines
            .into_iter()
            .rev()
            .fold(String::new(), |all, line| all + "\n  " + line)
    }

    /// All output so far, as lossy UTF-8; only the last megabytes if there is much.
    pub fn text(&self) -> String {
        self.shared.lock().text.clone()
    }

    /// Starts a new boot: `expect` ignores all output before.
    pub(crate) fn new_boot(&self) {
        let mut state = self.shared.lock();
        state.cursor = state.text.len();
        state.sent.clear();
    }

    /// Announces a panic that a scenario causes on purpose: neither the panic nor the lines after it are
    /// a guest failure, until [`Self::end_expected_panic`].
    pub fn expect_panic(&self) {
        self.shared.lock().watch = Watch::PanicExpected;
    }

    /// Ends [`Self::expect_panic`]: lines are scanned again.
    pub fn end_expected_panic(&self) {
        self.shared.lock().watch = Watch::On;
    }

    /// Types bytes.
    ///
    /// # Errors
    /// QEMU has exited.
    pub async fn send(&self, bytes: &[u8]) -> Result<(), MachineError> {
        let closed = |_| MachineError::Other("the serial port is closed".into());
        self.type_in.send(bytes.to_vec()).await.map_err(closed)
    }

    /// Types a line and presses Enter.
    ///
    /// # Errors
    /// QEMU has exited.
    pub async fn send_line(&self, line: &str) -> Result<(), MachineError> {
        self.shared.lock().record_sent(line);
        self.send(format!("{line}\r").as_bytes()).await
    }

    /// The raw output from now on, and the text of the unfinished line before it (a prompt, for
    /// example).
    pub fn tap(&self) -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (tap, bytes) = mpsc::unbounded_channel();
        let mut state = self.shared.lock();
        state.taps.push(tap);
        let line = state.text.rfind('\n').map_or(0, |end| end + 1);
        (state.text[line..].to_owned(), bytes)
    }

    /// Logs in on the serial line. Returns `true` at a shell prompt, `false` if the login is refused.
    ///
    /// # Errors
    /// The deadline.
    pub async fn login(
        &self,
        user: &str,
        password: &str,
        limit: Duration,
    ) -> Result<bool, MachineError> {
        let dialogue = login::dialogue(self, user, password, limit);
        let verdict = until_fatal(&self.failure, dialogue).await?;
        // The cursor moves behind the output that the dialogue read, but stays before the prompt.
        let mut state = self.shared.lock();
        state.cursor = state
            .text
            .rfind('\n')
            .map_or(0, |end| end + 1)
            .max(state.cursor);
        Ok(verdict)
    }

    /// Waits until the port is closed and its last byte was logged.
    pub(crate) async fn closed(&self) {
        let mut closed = self.shared.closed.subscribe();
        let _ = closed.wait_for(|closed| *closed).await;
    }

    pub(crate) fn keyboard(&self) -> mpsc::Sender<Vec<u8>> {
        self.type_in.clone()
    }
}
