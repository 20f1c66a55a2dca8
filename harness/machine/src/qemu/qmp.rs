//! A client for QMP, QEMU's control protocol.
//!
//! The `qapi` crate is not used, because it needs a type with a constant name for each command.
//! [`Machine::qmp`](crate::vm::Machine::qmp) accepts any command by name, and every message is logged
//! exactly as it was on the line. What remains is JSON lines and the matching of ids.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Interest, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{oneshot, watch};

use crate::error::MachineError;
use base::clock::now;
use base::wait::WaitError;
use host::speed;

/// Timeout of an answer. QEMU answers in milliseconds; the rest is for a host that swaps.
const ANSWER_SECONDS: u64 = 20;

/// State that QEMU reported by events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reported {
    /// The reason of the SHUTDOWN event (`guest-shutdown`, `host-signal`, ...).
    pub shutdown: Option<String>,
    /// One entry for each finished transfer of state: whether it completed.
    pub transfers: Vec<bool>,
}

/// Counts the resets of a machine, over all its QEMU processes.
pub(crate) type Resets = Arc<AtomicU64>;

/// Senders for the answers that callers wait for. `None` after QEMU has exited, so that nobody waits in
/// vain.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Value>>>>>;

/// The control connection of a running QEMU.
pub(crate) struct Qmp {
    out: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Waiting,
    next: AtomicU64,
    log: Arc<Log>,
    reported: watch::Receiver<Reported>,
}

impl Qmp {
    /// Starts to read the connection; must be called inside a tokio runtime. Sends nothing yet.
    pub(crate) fn new(line: UnixStream, log: File, resets: Resets) -> Self {
        let (read, write) = line.into_split();
        let (report, reported) = watch::channel(Reported::default());
        let log = Arc::new(Log(Mutex::new(log)));
        let waiting = Waiting::new(Mutex::new(Some(HashMap::new())));
        let lines = BufReader::new(read).lines();
        let listener = Listener {
            waiting: Arc::clone(&waiting),
            report,
            resets,
            log: Arc::clone(&log),
        };
        tokio::spawn(listener.listen(lines));
        Self {
            out: write.into(),
            waiting,
            next: AtomicU64::new(1),
            log,
            reported,
        }
    }

    /// Whether the connection is open.
    pub(crate) fn is_open(&self) -> bool {
        lock(&self.waiting).is_some()
    }

    /// What QEMU reported by events so far.
    pub(crate) fn reported(&self) -> Reported {
        self.reported.borrow().clone()
    }

    /// A watch on the reported events; it closes when the connection does.
    pub(crate) fn watch(&self) -> watch::Receiver<Reported> {
        self.reported.clone()
    }

    /// What QEMU reported until the connection closed. Returns after that.
    pub(crate) async fn last_reported(&self) -> Reported {
        let mut reported = self.reported.clone();
        while reported.changed().await.is_ok() {}
        self.reported()
    }

    /// Executes a command and returns the `return` value of its answer.
    pub(crate) async fn execute(
        &self,
        command: &str,
        arguments: Value,
    ) -> Result<Value, MachineError> {
        self.execute_with(command, arguments, None).await
    }

    /// Executes a command that takes a file descriptor (`getfd`).
    pub(crate) async fn execute_with(
        &self,
        command: &str,
        arguments: Value,
        descriptor: Option<&OwnedFd>,
    ) -> Result<Value, MachineError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let failed = |why: String| MachineError::Qmp {
            command: command.to_owned(),
            why,
        };
        let exited = || failed("QEMU has exited".into());
        lock(&self.waiting)
            .as_mut()
            .ok_or_else(exited)?
            .insert(id, reply);
        let mut message = json!({ "execute": command, "id": id });
        if !arguments.is_null() {
            message["arguments"] = arguments;
        }
        self.send(&message, descriptor)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let limit = speed::seconds(ANSWER_SECONDS);
        let answer = tokio::time::timeout(limit, answer).await;
        let answer = answer
            .map_err(|_| no_answer(command, limit))?
            .map_err(|_| exited())?;
        match answer.get("return") {
            Some(value) => Ok(value.clone()),
            None => Err(failed(description(&answer).to_string())),
        }
    }

    async fn send(&self, message: &Value, descriptor: Option<&OwnedFd>) -> io::Result<()> {
        self.log.write("sent", message);
        let text = format!("{message}\n");
        let mut out = self.out.lock().await;
        let sent = match descriptor {
            Some(descriptor) => send_with(out.as_ref(), text.as_bytes(), descriptor).await?,
            None => 0,
        };
        out.write_all(&text.as_bytes()[sent..]).await
    }
}

/// Sends a file descriptor with the beginning of a message (unix(7), SCM_RIGHTS). Returns how many bytes of
/// the message were sent.
async fn send_with(line: &UnixStream, text: &[u8], descriptor: &OwnedFd) -> io::Result<usize> {
    let raw = [descriptor.as_raw_fd()];
    let send = |line: BorrowedFd<'_>| {
        let rights = [ControlMessage::ScmRights(&raw)];
        let text = [IoSlice::new(text)];
        let (flags, to) = (MsgFlags::MSG_DONTWAIT, None::<&()>);
        sendmsg(line.as_raw_fd(), &text, &rights, flags, to).map_err(io::Error::from)
    };
    line.async_io(Interest::WRITABLE, || send(line.as_fd()))
        .await
}

fn no_answer(command: &str, limit: Duration) -> MachineError {
    WaitError::deadline(&format!("an answer to QMP {command}"), limit, "no message").into()
}

fn description(answer: &Value) -> String {
    match answer.pointer("/error/desc").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => answer.to_string(),
    }
}

/// Reads QEMU's messages.
struct Listener {
    waiting: Waiting,
    report: watch::Sender<Reported>,
    resets: Resets,
    log: Arc<Log>,
}

impl Listener {
    /// Runs until QEMU exits. Callers that still wait see their sender dropped.
    async fn listen(self, mut lines: Lines<BufReader<OwnedReadHalf>>) {
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(message) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            self.log.write("got", &message);
            if let Some(event) = message["event"].as_str() {
                self.on_event(event, &message);
            } else if let Some(id) = message["id"].as_u64()
                && let Some(reply) = lock(&self.waiting).as_mut().and_then(|w| w.remove(&id))
            {
                let _ = reply.send(message);
            }
        }
        *lock(&self.waiting) = None;
    }

    fn on_event(&self, event: &str, message: &Value) {
        match event {
            "RESET" => drop(self.resets.fetch_add(1, Ordering::Relaxed)),
            "SHUTDOWN" => {
                let reason = message["data"]["reason"].as_str().map(str::to_owned);
                self.report
                    .send_modify(|reported| reported.shutdown = reason);
            }
            "MIGRATION" => {
                let completed = match message["data"]["status"].as_str() {
                    Some("completed") => true,
                    Some("failed" | "cancelled") => false,
                    _ => return,
                };
                self.report
                    .send_modify(|reported| reported.transfers.push(completed));
            }
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Log(Mutex<File>);

impl Log {
    /// Writes one message. Errors are ignored: a log that cannot be written must not end the machine.
    fn write(&self, direction: &str, message: &Value) {
        let line = json!({ "at": now(), direction: message });
        let _ = lock(&self.0).write_all(format!("{line}\n").as_bytes());
    }
}
