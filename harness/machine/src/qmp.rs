//! QMP: QEMU's own control line.
//!
//! A client of our own, because the `qapi` crate wants each command as a type with a constant name:
//! [`Machine::qmp`](super::Machine::qmp) takes any command by name, and every message is logged as
//! it was on the line. What is left is lines of JSON and matching of ids.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{oneshot, watch};

use super::MachineError;
use base::clock::now;
use base::wait::WaitError;
use host::speed;

/// QEMU answers in milliseconds; this is for a host that swaps.
const PATIENCE_SECONDS: u64 = 20;

/// What QEMU told by itself.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Why it shut down (`guest-shutdown`, `host-signal`, ...).
    pub shutdown: Option<String>,
    /// Of each transfer of its state that ended, whether it was completed.
    pub transfers: Vec<bool>,
}

/// How often a machine was reset, by all QEMU processes that it was.
pub type Resets = Arc<AtomicU64>;

/// Who waits for which answer; none once QEMU is gone, so that nobody waits in vain.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Value>>>>>;

/// The control line of a running QEMU.
pub struct Qmp {
    out: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Waiting,
    next: AtomicU64,
    log: Arc<Log>,
    told: watch::Receiver<Told>,
}

impl Qmp {
    /// Begins; must run inside a tokio runtime. Nothing is sent yet.
    pub(super) fn new(line: UnixStream, log: File, resets: Resets) -> Self {
        let (read, write) = line.into_split();
        let (tell, told) = watch::channel(Told::default());
        let log = Arc::new(Log(Mutex::new(log)));
        let waiting = Waiting::new(Mutex::new(Some(HashMap::new())));
        let lines = BufReader::new(read).lines();
        let listener = Listener {
            waiting: Arc::clone(&waiting),
            tell,
            resets,
            log: Arc::clone(&log),
        };
        tokio::spawn(listener.listen(lines));
        Self {
            out: write.into(),
            waiting,
            next: AtomicU64::new(1),
            log,
            told,
        }
    }

    /// Whether QEMU has not closed it.
    pub(super) fn is_open(&self) -> bool {
        lock(&self.waiting).is_some()
    }

    /// What QEMU told by itself so far.
    pub fn told(&self) -> Told {
        self.told.borrow().clone()
    }

    /// The same, to wait for more; closed when its line is.
    pub(super) fn watch(&self) -> watch::Receiver<Told> {
        self.told.clone()
    }

    /// What it told until its end; comes back when its line is closed.
    pub(super) async fn last_told(&self) -> Told {
        let mut told = self.told.clone();
        while told.changed().await.is_ok() {}
        self.told()
    }

    /// A command and its answer's `return`.
    pub(super) async fn execute(
        &self,
        command: &str,
        arguments: Value,
    ) -> Result<Value, MachineError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let gone = || MachineError::Other(format!("QMP {command}: QEMU is gone"));
        lock(&self.waiting)
            .as_mut()
            .ok_or_else(gone)?
            .insert(id, reply);
        let mut message = json!({ "execute": command, "id": id });
        if !arguments.is_null() {
            message["arguments"] = arguments;
        }
        self.send(&message)
            .await
            .map_err(|e| MachineError::Other(format!("QMP {command}: {e}")))?;
        let limit = speed::seconds(PATIENCE_SECONDS);
        let answer = tokio::time::timeout(limit, answer).await;
        let answer = answer
            .map_err(|_| no_answer(command, limit))?
            .map_err(|_| gone())?;
        match answer.get("return") {
            Some(value) => Ok(value.clone()),
            None => Err(MachineError::Other(format!(
                "QMP {command}: {}",
                description(&answer)
            ))),
        }
    }

    async fn send(&self, message: &Value) -> io::Result<()> {
        self.log.write("sent", message);
        self.out
            .lock()
            .await
            .write_all(format!("{message}\n").as_bytes())
            .await
    }
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

/// Reads what QEMU says.
struct Listener {
    waiting: Waiting,
    tell: watch::Sender<Told>,
    resets: Resets,
    log: Arc<Log>,
}

impl Listener {
    /// Until QEMU is gone; whoever still waits is then told so by their dropped sender.
    async fn listen(self, mut lines: Lines<BufReader<OwnedReadHalf>>) {
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(message) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            self.log.write("got", &message);
            if let Some(event) = message["event"].as_str() {
                self.note(event, &message);
            } else if let Some(id) = message["id"].as_u64()
                && let Some(reply) = lock(&self.waiting).as_mut().and_then(|w| w.remove(&id))
            {
                let _ = reply.send(message);
            }
        }
        *lock(&self.waiting) = None;
    }

    fn note(&self, event: &str, message: &Value) {
        match event {
            "RESET" => drop(self.resets.fetch_add(1, Ordering::Relaxed)),
            "SHUTDOWN" => {
                let reason = message["data"]["reason"].as_str().map(str::to_owned);
                self.tell.send_modify(|told| told.shutdown = reason);
            }
            "MIGRATION" => {
                let completed = match message["data"]["status"].as_str() {
                    Some("completed") => true,
                    Some("failed" | "cancelled") => false,
                    _ => return,
                };
                self.tell.send_modify(|told| told.transfers.push(completed));
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
    /// A log that cannot be written must not end the machine.
    fn write(&self, direction: &str, message: &Value) {
        let line = json!({ "at": now(), direction: message });
        let _ = lock(&self.0).write_all(format!("{line}\n").as_bytes());
    }
}
