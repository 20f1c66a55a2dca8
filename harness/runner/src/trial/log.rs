//! Records the events of a trial in its evidence and emits them to the listeners.

use std::time::Instant;

use serde_json::json;

use crate::evidence::Evidence;
use events::Baseline;
use events::{EventKind, Listeners, Verdict};
use scenario::Step;

use super::Failure;
use super::deadline::{Slowdown, StepTimeout};
use super::failure_report::FinishedStep;
use super::step_failure::StepFailure;

/// The log of a running trial.
pub(super) struct Log<'a> {
    pub(super) trial: String,
    pub(super) evidence: &'a Evidence,
    pub(super) listeners: &'a Listeners,
    pub(super) baseline: &'a Baseline,
    pub(super) begin: Instant,
}

impl Log<'_> {
    /// The timeout of a step, from the recorded durations of this step and the steps before it.
    pub(super) fn timeout(&self, number: usize, step: &Step, ran: &[FinishedStep]) -> StepTimeout {
        let recorded = |number, title: &str| self.baseline.step(&self.trial, number, title);
        let before = ran.iter().enumerate();
        // The first step follows one entry, the start of the machine, or several with setups.
        let number_of = |index: usize| (index + number).saturating_sub(ran.len());
        let durations =
            before.map(|(index, ran)| (ran.duration, recorded(number_of(index), &ran.title)));
        StepTimeout::of(step, recorded(number, ""), Slowdown::of(durations))
    }

    /// Runs `work` as a step: emits its begin and end, and records its duration.
    pub(super) async fn step(
        &self,
        step: usize,
        line: usize,
        title: &str,
        work: impl Future<Output = Result<(), StepFailure>>,
        ran: &mut Vec<FinishedStep>,
    ) -> Result<(), StepFailure> {
        let begin = Instant::now();
        self.emit(EventKind::StepBegins {
            trial: self.trial.clone(),
            step,
            line,
            title: title.into(),
        });
        let verdict = work
            .await
            .map_err(|failure| failure.with_long_in(self.evidence));
        let duration = begin.elapsed();
        self.emit(EventKind::StepEnds {
            trial: self.trial.clone(),
            step,
            title: title.into(),
            duration: duration.as_secs_f64(),
            failure: verdict.as_ref().err().map(StepFailure::render),
        });
        ran.push(FinishedStep {
            title: title.into(),
            duration,
        });
        verdict
    }

    pub(super) fn notes(&self, notes: &[String]) {
        for text in notes {
            self.emit(EventKind::Note {
                trial: Some(self.trial.clone()),
                text: text.clone(),
            });
        }
    }

    /// Emits an event to the listeners and records it in the evidence.
    pub(super) fn emit(&self, kind: EventKind) {
        self.evidence.record(&self.listeners.emit(kind));
    }
}

/// Writes the verdict to the evidence.
pub(super) fn close(evidence: &Evidence, verdict: Result<(), Failure>) -> Result<(), Failure> {
    let verdict = verdict.map_err(Failure::printable);
    let result = match &verdict {
        Ok(()) => json!({ "verdict": Verdict::Passed }),
        Err(Failure::Failed(failed)) => {
            let (step, reason, machine) = (failed.step, &failed.text, &failed.machine);
            json!({ "verdict": Verdict::Failed, "step": step, "reason": reason, "machine": machine })
        }
        Err(Failure::Infrastructure(reason)) => {
            json!({ "verdict": Verdict::Error, "reason": reason })
        }
    };
    let written = evidence.finish(&result);
    verdict?;
    written.map_err(|error| {
        let folder = evidence.folder().display();
        Failure::Infrastructure(format!(
            "the trial passed, but its evidence in {folder} cannot be written: {error}"
        ))
    })
}

/// Writes a failure to the evidence and returns it.
pub(super) fn closed(evidence: &Evidence, failure: Failure) -> Failure {
    let fallback = failure.clone();
    close(evidence, Err(failure)).err().unwrap_or(fallback)
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
    let (verdict, step, machine) = match closed {
        Ok(()) => (Verdict::Passed, None, None),
        Err(Failure::Failed(failed)) => {
            (Verdict::Failed, failed.step, Some(failed.machine.clone()))
        }
        Err(Failure::Infrastructure(_)) => (Verdict::Error, None, None),
    };
    let folder = log.evidence.folder();
    EventKind::TrialEnds {
        trial: log.trial.clone(),
        verdict,
        duration: log.begin.elapsed().as_secs_f64(),
        step,
        reason: closed
            .as_ref()
            .err()
            .map(|failure| failure.text().to_owned()),
        evidence: kept.then(|| folder.to_path_buf()),
        machine,
    }
}
