//! The task that tells how QEMU ended.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::process::{Owned, describe};
use super::qmp::Qmp;
use super::{Badness, launch};
use crate::evidence::Evidence;

/// Tells the end of QEMU as badness: whoever wanted it no longer listens. Must run inside a tokio
/// runtime. Who ends QEMU and goes on aborts it first.
pub(super) fn watch_end(
    qemu: &Owned,
    qmp: Arc<Qmp>,
    evidence: Evidence,
    tell: watch::Sender<Option<Badness>>,
) -> AbortHandle {
    let mut ended = qemu.ended();
    let watch = tokio::spawn(async move {
        let Some(status) = ended.wait_for(Option::is_some).await.ok().and_then(|s| *s) else {
            return;
        };
        let why = qmp
            .told()
            .shutdown
            .map(|reason| format!(" after {reason}"))
            .unwrap_or_default();
        let said = launch::last_words(&evidence);
        let text = format!("{}{why} {said}", describe(status))
            .trim()
            .to_owned();
        tell.send_if_modified(|bad| {
            let first = bad.is_none();
            bad.get_or_insert(Badness::QemuEnded(text));
            first
        });
    });
    watch.abort_handle()
}
