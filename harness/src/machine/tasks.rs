//! The task that tells how QEMU ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::process::{Owned, describe};
use super::qmp::Qmp;
use super::{Badness, launch};
use crate::evidence::Evidence;

/// What QEMU tells when the guest switched the machine off.
pub(super) const GUEST_SHUTDOWN: &str = "guest-shutdown";

/// Tells the end of QEMU as badness, unless the guest ended it and was `meant` to: whoever else
/// wanted it no longer listens. Must run inside a tokio runtime. Who ends QEMU and goes on aborts it
/// first.
pub(super) fn watch_end(
    qemu: &Owned,
    qmp: Arc<Qmp>,
    evidence: Evidence,
    meant: Arc<AtomicBool>,
    tell: watch::Sender<Option<Badness>>,
) -> AbortHandle {
    let mut ended = qemu.ended();
    let watch = tokio::spawn(async move {
        let Some(status) = ended.wait_for(Option::is_some).await.ok().and_then(|s| *s) else {
            return;
        };
        // All that it told is read by then: its line closed when it ended.
        let shutdown = qmp.last_told().await.shutdown;
        let switched_off = shutdown.as_deref() == Some(GUEST_SHUTDOWN);
        if switched_off && meant.load(Ordering::Relaxed) {
            return;
        }
        let why = shutdown.map(|reason| format!(" after {reason}"));
        let said = launch::last_words(&evidence);
        let text = format!("{}{} {said}", describe(status), why.unwrap_or_default());
        let badness = match switched_off {
            true => Badness::PoweredOff,
            false => Badness::QemuEnded(text.trim().to_owned()),
        };
        tell.send_if_modified(|bad| {
            let first = bad.is_none();
            bad.get_or_insert(badness);
            first
        });
    });
    watch.abort_handle()
}
