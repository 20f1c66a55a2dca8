//! What is written down and told of a trial: each step as it goes, and the last word.

use std::time::Instant;

use serde_json::json;

use crate::evidence::Evidence;
use events::Baseline;
use events::{EventKind, Listeners, Verdict};
use scenario::Step;

use super::Failure;
use super::deadline::{Slowdown, StepTimeout};
use super::failure_report::Ran;
use super::step_failure::StepFailure;

/// What is written down and told while a trial runs.
pub(super) struct Log<'a> {
    pub(super) trial: String,
    pub(super) evidence: &'a Evidence,
    pub(super) listeners: &'a Listeners,
    pub(super) usual: &'a Baseline,
    pub(super) begin: Instant,
}

impl Log<'_> {
    /// How long to wait for a step, by what it and those before it usually take.
    pub(super) fn patience(&self, number: usize, step: &Step, ran: &[Ran]) -> StepTimeout {
        let usually = |number, what: &str| self.usual.step(&self.trial, number, what);
        let before = ran.iter().enumerate();
        // What is before the first step is one thing or, with setups, several.
        let number_of = |index: usize| (index + number).saturating_sub(ran.len());
        let times = before.map(|(index, ran)| (ran.took, usually(number_of(index), &ran.what)));
        StepTimeout::of(step, usually(number, ""), Slowdown::of(times))
    }

    pub(super) async fn around(
        &self,
        step: usize,
        line: usize,
        what: &str,
        work: impl Future<Output = Result<(), StepFailure>>,
        ran: &mut Vec<Ran>,
    ) -> Result<(), StepFailure> {
        let begin = Instant::now();
        self.tell(EventKind::StepBegins {
            trial: self.trial.clone(),
            step,
            line,
            title: what.into(),
        });
        let verdict = work
            .await
            .map_err(|fault| fault.with_long_in(self.evidence));
        let took = begin.elapsed();
        self.tell(EventKind::StepEnds {
            trial: self.trial.clone(),
            step,
            title: what.into(),
            duration: took.as_secs_f64(),
            failure: verdict.as_ref().err().map(StepFailure::render),
        });
        ran.push(Ran {
            what: what.into(),
            took,
        });
        verdict
    }

    pub(super) fn notes(&self, notes: &[String]) {
        for text in notes {
            self.tell(EventKind::Note {
                trial: Some(self.trial.clone()),
                text: text.clone(),
            });
        }
    }

    /// Tells who listens, and writes it down.
    pub(super) fn tell(&self, what: EventKind) {
        self.evidence.record(&self.listeners.emit(what));
    }
}

/// Writes the verdict down.
pub(super) fn close(evidence: &Evidence, verdict: Result<(), Failure>) -> Result<(), Failure> {
    let verdict = verdict.map_err(Failure::printable);
    let result = match &verdict {
        Ok(()) => json!({ "verdict": Verdict::Passed }),
        Err(Failure::Failed(red)) => {
            let machine = &red.machine;
            json!({ "verdict": Verdict::Failed, "step": red.step, "reason": red.text, "machine": machine })
        }
        Err(Failure::Infrastructure(reason)) => {
            json!({ "verdict": Verdict::Error, "reason": reason })
        }
    };
    let written = evidence.finish(&result);
    verdict?;
    written.map_err(|error| {
        let folder = evidence.folder().display();
        Failure::Infrastructure(format!("passed, but the evidence in {folder}: {error}"))
    })
}

/// Writes a verdict down that is none of those that pass.
pub(super) fn closed(evidence: &Evidence, failure: Failure) -> Failure {
    let why = failure.clone();
    close(evidence, Err(failure)).err().unwrap_or(why)
}

/// What passed leaves nothing, unless it is to be kept.
pub(super) fn remove(log: &Log<'_>) {
    let folder = log.evidence.folder();
    if let Err(error) = std::fs::remove_dir_all(folder) {
        let folder = folder.display();
        log.listeners.emit(EventKind::Note {
            trial: Some(log.trial.clone()),
            text: format!("{folder} stays, though the trial passed: {error}"),
        });
    }
}

/// The last word of a trial.
pub(super) fn ended(log: &Log<'_>, closed: &Result<(), Failure>, kept: bool) -> EventKind {
    let (verdict, step, machine) = match closed {
        Ok(()) => (Verdict::Passed, None, None),
        Err(Failure::Failed(red)) => (Verdict::Failed, red.step, Some(red.machine.clone())),
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
