//! The serial line: one task owns the port, keeps all it ever said, scans it, and serves waits.

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

use super::badness::Rules;
use super::lines::Ends;
use super::{Badness, MachineError, login};
use base::text::{ceil_boundary, floor_boundary};
use base::wait::WaitError;
use console::Console;
use echo::Sent;
use times::Times;

/// Lines shown when a wait ends without its match.
const LAST_LINES: usize = 10;

/// The serial line: kept from the first byte in `serial.log` of the evidence folder; when
/// what came is in `serial.times`.
pub struct Serial {
    shared: Arc<Shared>,
    type_in: mpsc::Sender<Vec<u8>>,
}

/// What the owning task and the waits share.
struct Shared {
    state: Mutex<State>,
    /// Bytes of text so far.
    grown: watch::Sender<usize>,
    closed: watch::Sender<bool>,
}

/// What is thought of bad lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Watch {
    /// Each ends the trial.
    #[default]
    On,
    /// A panic is to come, and will be no surprise.
    PanicExpected,
    /// It came: what a dying kernel says is of no interest.
    Panicked,
}

/// Bytes of text that are kept at least; `serial.log` has all of it.
const KEPT: usize = 4 << 20;
/// The longest match that is found for sure when it comes in several pieces.
const LONGEST_MATCH: usize = 64 << 10;

#[derive(Default)]
struct State {
    /// The end of what was said.
    text: String,
    /// Bytes that were said before it.
    gone: usize,
    /// Where the next `expect` begins, from the beginning of the text.
    cursor: usize,
    watch: Watch,
    /// Lines that were typed, whose echo no `expect` takes for an answer.
    sent: Sent,
    /// Raw copies for a terminal and for login dialogues.
    taps: Vec<mpsc::UnboundedSender<Vec<u8>>>,
}

impl State {
    /// Adds what was said, and gives how many bytes that are in all. When twice as much as is kept is
    /// there its first half goes: so each byte is moved once.
    fn add(&mut self, text: &str) -> usize {
        self.text.push_str(text);
        if self.text.len() > 2 * KEPT {
            let gone = ceil_boundary(&self.text, self.text.len() - KEPT);
            self.text.drain(..gone);
            self.gone += gone;
            self.cursor = self.cursor.saturating_sub(gone);
            self.sent.forget(gone);
        }
        self.gone + self.text.len()
    }

    /// The first match behind the cursor that is no echo; the cursor is then behind it. All before
    /// `searched`, counted in bytes since the first, was searched already but for a match that is not
    /// whole yet.
    fn take_match(&mut self, pattern: &Regex, searched: usize) -> Option<String> {
        let unsearched = searched.saturating_sub(self.gone + LONGEST_MATCH);
        let from = floor_boundary(&self.text, unsearched.max(self.cursor));
        // An echo may have begun before.
        let before = from.saturating_sub(LONGEST_MATCH).max(self.cursor);
        let before = floor_boundary(&self.text, before);
        let spoken = self.sent.spoken(&self.text, before);
        let (text, end) = spoken.into_iter().find_map(|part| {
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

    fn types(&mut self, line: &str) {
        self.sent.add(self.text.len(), line);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serial {
    /// Takes the ports over; must run inside a tokio runtime.
    pub(super) fn new(
        ports: Ends,
        log: File,
        times: File,
        rules: Rules,
        bad: watch::Sender<Option<Badness>>,
    ) -> Self {
        let (type_in, typed) = mpsc::channel(64);
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            grown: watch::Sender::new(0),
            closed: watch::Sender::new(false),
        });
        let before = log.metadata().map_or(0, |log| log.len());
        let times = Times::new(times, usize::try_from(before).unwrap_or_default());
        tokio::spawn(Console::new(Arc::clone(&shared), log, times, rules, bad).run(ports, typed));
        Self { shared, type_in }
    }

    /// Waits until the output since the last match (or since the start) matches `pattern`. The echo of
    /// a line that was [sent](Self::send_line) is no output.
    ///
    /// # Errors
    /// The deadline, with the last lines seen.
    pub async fn expect(&self, pattern: &Regex, limit: Duration) -> Result<String, MachineError> {
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
                let why = format!("the port is closed; last seen: {}", self.last_lines());
                return Err(WaitError::failed(&what, why).into());
            }
            if tokio::time::timeout_at(end, grown.changed()).await.is_err() {
                return Err(WaitError::deadline(&what, limit, self.last_lines()).into());
            }
        }
    }

    pub(super) fn last_lines(&self) -> String {
        let state = self.shared.lock();
        let lines: Vec<_> = state.text.lines().rev().take(LAST_LINES).collect();
        lines
            .into_iter()
            .rev()
            .fold(String::new(), |all, line| all + "\n  " + line)
    }

    /// Everything so far, lossily as text; of a guest that says a lot, the last megabytes.
    pub fn text(&self) -> String {
        self.shared.lock().text.clone()
    }

    /// What is said from now on belongs to a new boot, and is all that `expect` looks at.
    pub(super) fn new_boot(&self) {
        let mut state = self.shared.lock();
        state.cursor = state.text.len();
        state.sent.clear();
    }

    /// A panic that is about to come is meant: it and what follows it are not told as badness,
    /// until [`Self::watch_again`].
    pub fn expect_panic(&self) {
        self.shared.lock().watch = Watch::PanicExpected;
    }

    /// Bad lines are told from now on.
    pub fn watch_again(&self) {
        self.shared.lock().watch = Watch::On;
    }

    /// Types.
    ///
    /// # Errors
    /// QEMU is gone.
    pub async fn send(&self, bytes: &[u8]) -> Result<(), MachineError> {
        let gone = |_| MachineError::Other("the serial port is closed".into());
        self.type_in.send(bytes.to_vec()).await.map_err(gone)
    }

    /// Types a line and Enter.
    ///
    /// # Errors
    /// QEMU is gone.
    pub async fn send_line(&self, line: &str) -> Result<(), MachineError> {
        self.shared.lock().types(line);
        self.send(format!("{line}\r").as_bytes()).await
    }

    /// The raw output from here on, after the text of the unfinished line (a prompt, say).
    pub fn tap(&self) -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (tap, bytes) = mpsc::unbounded_channel();
        let mut state = self.shared.lock();
        state.taps.push(tap);
        let line = state.text.rfind('\n').map_or(0, |end| end + 1);
        (state.text[line..].to_owned(), bytes)
    }

    /// A login dialogue by rexpect. `Ok(true)` at a shell prompt, `Ok(false)` when refused.
    ///
    /// # Errors
    /// The deadline.
    pub async fn login(
        &self,
        user: &str,
        password: &str,
        limit: Duration,
    ) -> Result<bool, MachineError> {
        let verdict = login::dialogue(self, user, password, limit).await?;
        // What the dialogue read is behind `expect` now; the prompt itself stays before it.
        let mut state = self.shared.lock();
        state.cursor = state
            .text
            .rfind('\n')
            .map_or(0, |end| end + 1)
            .max(state.cursor);
        Ok(verdict)
    }

    /// Comes back when the port is closed and its last byte was kept.
    pub(super) async fn closed(&self) {
        let mut closed = self.shared.closed.subscribe();
        let _ = closed.wait_for(|closed| *closed).await;
    }

    pub(super) fn keyboard(&self) -> mpsc::Sender<Vec<u8>> {
        self.type_in.clone()
    }
}
