//! Records the events of a trial in its evidence and emits them to the listeners.

use std::time::Instant;

use crate::evidence::Evidence;
use crate::session::{Slowdown, StepFailure, StepTimeout};
use events::{Baseline, EventKind, Listeners, StepHead};
use scenario::Step;

use super::definition::Trial;
use super::report::FinishedStep;
use super::settings::Settings;

/// The log of a running trial.
pub(super) struct Log<'a> {
    pub(super) trial: String,
    pub(super) evidence: &'a Evidence,
    pub(super) listeners: &'a Listeners,
    pub(super) baseline: &'a Baseline,
    /// The steps of the scenario.
    pub(super) steps: &'a [Step],
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
            on: self.machines_of(step).to_vec(),
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
            failed_on: verdict.as_ref().err().and_then(|one| one.machine.clone()),
        });
        ran.push(FinishedStep {
            title: title.into(),
            duration,
        });
        verdict
    }

    /// The machines that a step names; none if it is about all or the trial has one. Step 0 precedes the first.
    fn machines_of(&self, step: usize) -> &[String] {
        let step = step.checked_sub(1).and_then(|index| self.steps.get(index));
        step.map_or(&[], |step| &step.on)
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

impl Trial {
    pub(super) fn log<'a>(&'a self, settings: &'a Settings, evidence: &'a Evidence) -> Log<'a> {
        Log {
            trial: self.name(),
            evidence,
            listeners: &settings.listeners,
            baseline: &settings.baseline,
            steps: &self.scenario.steps,
            begin: Instant::now(),
        }
    }

    fn machine_names(&self) -> Vec<String> {
        let names = self.scenario.cluster.machine_names();
        names.map(str::to_owned).collect()
    }

    /// Emits the begin of the trial.
    pub(super) fn announce(&self, log: &Log<'_>) {
        log.emit(EventKind::TrialBegins {
            trial: self.name(),
            about: self.scenario.about.clone(),
            file: self.scenario.file.clone(),
            steps: self.scenario.steps.iter().map(head).collect(),
            machines: self.machine_names(),
            evidence: log.evidence.folder().to_path_buf(),
        });
    }
}

fn head(step: &Step) -> StepHead {
    StepHead {
        line: step.line,
        title: step.heading(),
        on: step.on.clone(),
    }
}
