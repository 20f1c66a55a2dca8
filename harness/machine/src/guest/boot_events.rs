//! Boot events: the guest reports its boot on a port of its own. Events are grouped by boot.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::description::RANCHEROS;
use crate::error::MachineError;
use crate::lines::Ends;
use base::clock::now;
use base::wait::{self, WaitError};

/// One line from the guest's boot-event port.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct BootEvent {
    /// Stage name, for example `init`, `root`, `system-docker`, `console`, `started`.
    pub stage: String,
    /// The guest's monotonic clock, in seconds.
    pub seconds: f64,
    /// The error, if the stage failed.
    #[serde(default)]
    pub error: Option<String>,
    /// `true` if the stage succeeded (absent with an error).
    #[serde(default)]
    pub ok: bool,
    /// With an error: the boot does not continue.
    #[serde(default)]
    pub fatal: bool,
}

/// The events of all boots of a machine.
#[derive(Clone)]
pub(crate) struct Events {
    boots: Arc<Mutex<Vec<Vec<BootEvent>>>>,
    /// Number of boots that the log already holds.
    earlier: usize,
    changed: watch::Sender<()>,
}

impl Events {
    /// Starts to listen; must be called inside a tokio runtime. The log already holds `earlier` boots.
    pub(crate) fn new(ports: Ends, log: File, earlier: usize) -> Self {
        let events = Self {
            boots: Arc::new(Mutex::new(vec![vec![]])),
            earlier,
            changed: watch::Sender::new(()),
        };
        tokio::spawn(events.clone().listen(ports, log));
        events
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<BootEvent>>> {
        self.boots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(self, mut ports: Ends, mut log: File) {
        while let Some(port) = ports.recv().await {
            self.read(port, &mut log).await;
        }
    }

    /// Reads until QEMU closes the port.
    async fn read(&self, port: UnixStream, log: &mut File) {
        let mut lines = BufReader::new(port).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line);
            let record = match serde_json::from_str::<BootEvent>(&line) {
                Ok(event) => {
                    let boot = self.earlier + self.add(event);
                    let text: Value = serde_json::from_str(&line).unwrap_or_default();
                    json!({ "at": now(), "boot": boot, "event": text })
                }
                // The guest was cut off in the middle of a line, or sends something else.
                Err(error) => json!({ "at": now(), "unreadable": line, "why": error.to_string() }),
            };
            let _ = log.write_all(format!("{record}\n").as_bytes());
            self.changed.send_replace(());
        }
    }

    /// Adds an event; returns the number of its boot, from 0.
    fn add(&self, event: BootEvent) -> usize {
        let mut boots = self.lock();
        if event.stage == RANCHEROS.first_stage && boots.last().is_some_and(|boot| !boot.is_empty())
        {
            boots.push(vec![]);
        }
        if let Some(boot) = boots.last_mut() {
            boot.push(event);
        }
        boots.len() - 1
    }

    /// Starts a new boot: following events belong to it.
    pub(crate) fn new_boot(&self) {
        let mut boots = self.lock();
        if boots.last().is_some_and(|boot| !boot.is_empty()) {
            boots.push(vec![]);
        }
    }

    /// Number of boots, including the current one.
    pub(crate) fn boots(&self) -> usize {
        self.earlier + self.lock().len()
    }

    /// The events of the current boot.
    pub(crate) fn current(&self) -> Vec<BootEvent> {
        self.lock().last().cloned().unwrap_or_default()
    }

    /// Whether the guest has sent any event.
    pub(crate) fn any(&self) -> bool {
        self.lock().iter().any(|boot| !boot.is_empty())
    }

    /// Waits for the event of a stage in the current boot, whether the stage succeeded or failed. A
    /// fatal event of another stage ends the wait.
    pub(crate) async fn wait(
        &self,
        stage: &str,
        limit: Duration,
    ) -> Result<BootEvent, MachineError> {
        let what = format!("boot event `{stage}`");
        let end = Instant::now() + limit;
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let events = self.current();
            if let Some(event) = events.iter().find(|event| event.stage == stage) {
                return Ok(event.clone());
            }
            if let Some(fatal) = events.iter().find(|event| event.fatal) {
                return Err(WaitError::failed(&what, describe(fatal)).into());
            }
            if let Some(last) = events.last() {
                wait::tell(&what, &describe(last));
            }
            if tokio::time::timeout_at(end, changed.changed())
                .await
                .is_err()
            {
                let last = events
                    .last()
                    .map_or_else(|| "no event in this boot".into(), describe);
                return Err(WaitError::deadline(&what, limit, last).into());
            }
        }
    }
}

fn describe(event: &BootEvent) -> String {
    let at = format!("stage `{}` at {:.2} s", event.stage, event.seconds);
    match &event.error {
        Some(error) => format!("{at}: {error}"),
        None => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines;
    use tokio::io::AsyncWriteExt as _;

    async fn events(text: &str) -> (UnixStream, Events) {
        let (mut guest, port) = UnixStream::pair().unwrap();
        let log = File::options().write(true).open("/dev/null").unwrap();
        let events = Events::new(lines::only(port), log, 0);
        guest.write_all(text.as_bytes()).await.unwrap();
        (guest, events)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn init_event_begins_a_new_boot() {
        let text = r#"{"stage":"init","seconds":0.5,"ok":true}
            {"stage":"started","seconds":9.0,"ok":true,"version":"0.1.0"}
            not json
            {"stage":"init","seconds":0.4,"ok":true}
            {"stage":"mounts","seconds":0.6,"ok":true}
            "#;
        let (_guest, events) = events(text).await;
        events.wait("mounts", LONG).await.unwrap();
        let stages: Vec<_> = events.current().into_iter().map(|e| e.stage).collect();
        assert_eq!(stages, ["init", "mounts"]);
    }

    #[tokio::test]
    async fn announced_reboot_hides_the_old_boot() {
        let (mut guest, events) = events("{\"stage\":\"init\",\"seconds\":0,\"ok\":true}\n").await;
        events.wait("init", LONG).await.unwrap();
        events.new_boot();
        assert!(events.current().is_empty() && events.any());
        guest
            .write_all(b"{\"stage\":\"init\",\"seconds\":1,\"ok\":true}\n")
            .await
            .unwrap();
        assert_eq!(events.wait("init", LONG).await.unwrap().seconds, 1.0);
        assert_eq!(events.lock().len(), 2);
    }

    #[tokio::test]
    async fn fatal_stage_ends_the_wait_for_a_later_one() {
        let (_guest, events) =
            events("{\"stage\":\"root\",\"seconds\":2,\"error\":\"no squashfs\",\"fatal\":true}\n")
                .await;
        let error = events.wait("started", LONG).await.unwrap_err().to_string();
        insta::assert_snapshot!(error, @"boot event `started` failed: stage `root` at 2.00 s: no squashfs");
    }
}
