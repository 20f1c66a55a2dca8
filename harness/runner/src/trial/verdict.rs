//! Writes the verdict to the evidence, and emits it.

use std::io;

use serde_json::json;

use crate::evidence::Evidence;
use events::{EventKind, Verdict};

use super::failure::{Failure, InfrastructureError};
use super::log::Log;

/// Writes the verdict to the evidence.
pub(super) fn close(evidence: &Evidence, verdict: Result<(), Failure>) -> Result<(), Failure> {
    let written = write(evidence, verdict.as_ref().err());
    verdict?;
    written.map_err(|source| {
        let folder = evidence.folder().to_owned();
        InfrastructureError::Evidence { folder, source }.into()
    })
}

/// Writes a failure to the evidence and returns it: it matters more than evidence that cannot be written.
pub(super) fn closed(evidence: &Evidence, failure: Failure) -> Failure {
    let _ = write(evidence, Some(&failure));
    failure
}

fn write(evidence: &Evidence, failure: Option<&Failure>) -> io::Result<()> {
    let reason = failure.map(Failure::text);
    evidence.finish(&match failure {
        None => json!({ "verdict": Verdict::Passed }),
        Some(Failure::Failed(failed)) => {
            json!({
                "verdict": Verdict::Failed,
                "step": failed.step,
                "reason": reason,
                "machine": failed.machine,
                "failed_on": failed.failed_on,
            })
        }
        Some(Failure::Infrastructure(_)) => {
            json!({ "verdict": Verdict::Error, "reason": reason })
        }
    })
}

/// Removes the evidence of a trial that passed.
pub(super) fn remove(log: &Log<'_>) {
    let folder = log.evidence.folder();
    if let Err(error) = std::fs::remove_dir_all(folder) {
        let folder = folder.display();
        log.listeners.emit(EventKind::Note {
            trial: Some(log.trial.clone()),
            text: format!("cannot remove the evidence {folder} of a passed trial: {error}"),
        });
    }
}

/// The event that ends a trial.
pub(super) fn ended(log: &Log<'_>, closed: &Result<(), Failure>, kept: bool) -> EventKind {
    let (verdict, failed) = match closed {
        Ok(()) => (Verdict::Passed, None),
        Err(Failure::Failed(failed)) => (Verdict::Failed, Some(failed)),
        Err(Failure::Infrastructure(_)) => (Verdict::Error, None),
    };
    let folder = log.evidence.folder();
    EventKind::TrialEnds {
        trial: log.trial.clone(),
        verdict,
        duration: log.begin.elapsed().as_secs_f64(),
        step: failed.and_then(|failed| failed.step),
        reason: closed.as_ref().err().map(Failure::text),
        evidence: kept.then(|| folder.to_path_buf()),
        machine: failed.map(|failed| failed.machine.clone()),
        failed_on: failed.and_then(|failed| failed.failed_on.clone()),
    }
}
