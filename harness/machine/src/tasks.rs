//! The task that sees QEMU end: after a reset of an emulated guest it starts another one, and
//! otherwise it tells.
//!
//! A reset within one process would be right as well, but an emulated boot that is not the first of
//! its QEMU takes two to three times as long.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::chassis::Chassis;
use super::lines::Lines;
use super::{Badness, MachineError, launch};
use crate::log_dir::LogDir;
use base::process::describe;

/// What QEMU tells when the guest switched the machine off.
pub(super) const GUEST_SHUTDOWN: &str = "guest-shutdown";
/// And when it was reset, by itself or from outside.
const RESETS: [&str; 2] = ["guest-reset", "host-qmp-system-reset"];

/// Sees to it that a machine is some QEMU.
pub(super) struct Keeper {
    /// Who drops the machine ends QEMU, and this.
    pub(super) chassis: Weak<Chassis>,
    pub(super) lines: Lines,
    pub(super) logs: LogDir,
    /// The guest is to switch the machine off.
    pub(super) off_meant: Arc<AtomicBool>,
    pub(super) tell: watch::Sender<Option<Badness>>,
    /// How the last QEMU ended.
    pub(super) over: watch::Sender<Option<ExitStatus>>,
}

impl Keeper {
    /// Until the last QEMU has ended. That is told as badness, unless the guest ended it and was
    /// meant to, or somebody on this side did.
    pub(super) async fn run(self) {
        while let Some((status, shutdown)) = self.ended().await {
            let again = match shutdown.as_deref() {
                Some(reason) if RESETS.contains(&reason) => self.start_again().await,
                _ => Ok(false),
            };
            if let Ok(true) = again {
                continue;
            }
            let stopped = self.chassis.upgrade().is_none_or(|c| c.is_stopped());
            if !stopped {
                self.bad(status, shutdown, again.err());
            }
            self.over.send_replace(Some(status));
            return;
        }
    }

    /// How the QEMU of now ended, and why it says it did.
    async fn ended(&self) -> Option<(ExitStatus, Option<String>)> {
        let (mut ended, qmp) = {
            let now = self.chassis.upgrade()?.now();
            (now.qemu.ended(), Arc::clone(&now.qmp))
        };
        let status = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|s| *s)?;
        // All that it told is read by then: its line closed when it ended.
        Some((status, qmp.last_told().await.shutdown))
    }

    /// Whether there is another QEMU now.
    async fn start_again(&self) -> Result<bool, MachineError> {
        let next = self.chassis.upgrade().filter(|c| !c.is_stopped());
        let Some(next) = next.map(|chassis| chassis.next()) else {
            return Ok(false);
        };
        let running = next.start(&self.lines).await?;
        let chassis = self.chassis.upgrade();
        Ok(chassis.is_some_and(|chassis| chassis.go_on_with(running)))
    }

    fn bad(&self, status: ExitStatus, shutdown: Option<String>, again: Option<MachineError>) {
        let switched_off = shutdown.as_deref() == Some(GUEST_SHUTDOWN);
        if switched_off && self.off_meant.load(Ordering::Relaxed) {
            return;
        }
        let why = shutdown.map(|reason| format!(" after {reason}"));
        let said = match again {
            Some(error) => format!("and no other could be started: {error}"),
            None => launch::last_words(&self.logs),
        };
        let text = format!("{}{} {said}", describe(status), why.unwrap_or_default());
        let badness = match switched_off {
            true => Badness::PoweredOff,
            false => Badness::QemuEnded(text.trim().to_owned()),
        };
        self.tell.send_if_modified(|bad| {
            let first = bad.is_none();
            bad.get_or_insert(badness);
            first
        });
    }
}
