//! A run as derived from its events: the trials with their attempts and outcomes.

use std::path::{Path, PathBuf};

use events::BootTimeline;
use events::SnapshotOutcome;
use events::{Event, EventKind, StepHead, Verdict};

/// A run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// The start, in seconds since 1970.
    pub start: f64,
    /// The duration in seconds; `None` if it did not end.
    pub duration: Option<f64>,
    /// Sorted by name.
    pub trials: Vec<TestResult>,
    /// Notes that are not about one trial.
    pub notes: Vec<String>,
}

/// A trial: a scenario on a profile.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestResult {
    /// `PROFILE::SCENARIO`.
    pub name: String,
    /// The reason why this host cannot run it.
    pub ignored: Option<String>,
    /// Its attempts; several if it was retried.
    pub attempts: Vec<Attempt>,
}

/// The outcome of a trial, over all its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// A step, or the boot before it, failed.
    Failed,
    /// The harness could not provide a machine to judge.
    Error,
    /// It was planned or started, and there is no event of its end.
    NotEnded,
    /// It passed after a failed attempt.
    Flaky,
    /// It failed, and the failure is accepted.
    KnownFailure,
    /// This host cannot run it.
    Ignored,
    /// All steps succeeded.
    Passed,
}

/// One attempt at a trial.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempt {
    /// The start, in seconds since 1970.
    pub start: f64,
    /// What the scenario proves.
    pub about: String,
    /// The scenario's file.
    pub file: PathBuf,
    /// All steps of the scenario.
    pub heads: Vec<StepHead>,
    /// The names of its machines, if there are several.
    pub machines: Vec<String>,
    /// The steps that were started.
    pub steps: Vec<StepRun>,
    /// The boot timelines of its machines, with their names if there are several.
    pub boots: Vec<(Option<String>, BootTimeline)>,
    /// The logs of the machines that were made for it to fork from, with their names if there are several.
    pub parents: Vec<(Option<String>, PathBuf)>,
    /// Notes.
    pub notes: Vec<String>,
    /// Its evidence folder.
    pub evidence: PathBuf,
    /// Its end; `None` if it did not end.
    pub end: Option<End>,
}

/// A step that was started.
#[derive(Debug, Clone)]
pub(crate) struct StepRun {
    /// The number of the step; 0 is the boot or fork before the first.
    pub number: usize,
    /// Its line in the scenario file.
    pub line: usize,
    /// Its title.
    pub title: String,
    /// The machines that it is about, if there are several and it is not about all.
    pub on: Vec<String>,
    /// The start, in seconds since 1970.
    pub start: f64,
    /// The duration in seconds; `None` if it did not end.
    pub duration: Option<f64>,
    /// Why it failed.
    pub failure: Option<String>,
    /// The machine that it failed on, if there are several.
    pub failed_on: Option<String>,
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// The verdict.
    pub verdict: Verdict,
    /// The duration in seconds.
    pub duration: f64,
    /// The number of the failed step.
    pub step: Option<usize>,
    /// The full reason if it did not pass.
    pub reason: Option<String>,
    /// Whether its evidence is kept.
    pub kept: bool,
    /// What happened to the machine of a failed attempt.
    pub machine: Option<SnapshotOutcome>,
    /// The machine that it failed on, if there are several.
    pub failed_on: Option<String>,
}

impl Run {
    /// Derives a run from its events.
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut run = Self {
            start: events.first().map_or(0.0, |event| event.timestamp),
            ..Self::default()
        };
        for event in events {
            run.on_event(event);
        }
        run.trials.sort_by(|a, b| a.name.cmp(&b.name));
        run
    }

    fn on_event(&mut self, event: &Event) {
        match event.kind.clone() {
            EventKind::RunBegins { trials, ignored } => {
                for trial in &trials {
                    self.result(trial);
                }
                for (trial, reason) in ignored {
                    self.result(&trial).ignored = Some(reason);
                }
            }
            EventKind::TrialLeftOut { trial, reason } => {
                self.result(&trial).ignored = Some(reason);
            }
            EventKind::RunEnds { .. } => self.duration = Some(event.timestamp - self.start),
            EventKind::Note { trial: None, text } => self.notes.push(text),
            kind => self.on_trial_event(event.timestamp, kind),
        }
    }

    fn on_trial_event(&mut self, start: f64, kind: EventKind) {
        match kind {
            EventKind::TrialBegins {
                trial,
                about,
                file,
                steps,
                machines,
                evidence,
            } => self.result(&trial).attempts.push(Attempt {
                start,
                about,
                file,
                heads: steps,
                machines,
                evidence,
                ..Attempt::default()
            }),
            EventKind::StepBegins {
                trial,
                step,
                line,
                title,
                on,
            } => self.running(&trial, |attempt| {
                attempt.steps.push(StepRun {
                    number: step,
                    line,
                    title,
                    on,
                    start,
                    duration: None,
                    failure: None,
                    failed_on: None,
                });
            }),
            kind => self.on_end_event(kind),
        }
    }

    fn on_end_event(&mut self, kind: EventKind) {
        match kind {
            EventKind::StepEnds {
                trial,
                step,
                duration,
                failure,
                failed_on,
                ..
            } => self.running(&trial, |attempt| {
                if let Some(step) = attempt.running_step(step) {
                    (step.duration, step.failure) = (Some(duration), failure);
                    step.failed_on = failed_on;
                }
            }),
            EventKind::Boot {
                trial,
                on,
                timeline,
            } => self.running(&trial, |attempt| attempt.booted(on, timeline)),
            EventKind::Setup {
                trial,
                evidence,
                machines,
                ..
            } => self.running(&trial, |attempt| {
                let logs = logs_of(&evidence, &machines).into_iter();
                let owned = |(name, logs): (Option<&str>, _)| (name.map(str::to_owned), logs);
                attempt.parents.extend(logs.map(owned));
            }),
            EventKind::Note {
                trial: Some(trial),
                text,
            } => self.running(&trial, |attempt| attempt.notes.push(text)),
            EventKind::AttemptEnds {
                trial,
                verdict,
                duration,
                reason,
                evidence,
                machine,
                failed_on,
                ..
            } => self.running(&trial, |attempt| {
                attempt.end = Some(End {
                    verdict,
                    duration,
                    step: attempt.failed_step(),
                    reason,
                    kept: evidence.is_some(),
                    machine,
                    failed_on,
                });
            }),
            EventKind::TrialEnds {
                trial,
                verdict,
                duration,
                step,
                reason,
                evidence,
                machine,
                failed_on,
            } => self.running(&trial, |attempt| {
                attempt.end = Some(End {
                    verdict,
                    duration,
                    step,
                    reason,
                    kept: evidence.is_some(),
                    machine,
                    failed_on,
                });
            }),
            _ => {}
        }
    }

    fn result(&mut self, name: &str) -> &mut TestResult {
        let known = self.trials.iter().position(|trial| trial.name == name);
        let index = known.unwrap_or_else(|| {
            self.trials.push(TestResult {
                name: name.to_owned(),
                ..TestResult::default()
            });
            self.trials.len() - 1
        });
        &mut self.trials[index]
    }

    fn running(&mut self, trial: &str, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.result(trial).attempts.last_mut() {
            change(attempt);
        }
    }

    /// The number of trials with this outcome.
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        let has_outcome = |trial: &&TestResult| trial.outcome() == outcome;
        self.trials.iter().filter(has_outcome).count()
    }
}

impl TestResult {
    /// The name of the profile.
    pub(crate) fn profile(&self) -> &str {
        self.name
            .split_once("::")
            .map_or("", |(profile, _)| profile)
    }

    /// The name of the scenario.
    pub(crate) fn scenario(&self) -> &str {
        let parts = self.name.split_once("::");
        parts.map_or(&*self.name, |(_, scenario)| scenario)
    }

    /// The outcome.
    pub(crate) fn outcome(&self) -> Outcome {
        let Some(last) = self.attempts.last() else {
            let ignored = self.ignored.is_some();
            return if ignored {
                Outcome::Ignored
            } else {
                Outcome::NotEnded
            };
        };
        let again = self.attempts.len() > 1;
        match last.end.as_ref().map(|end| end.verdict) {
            None => Outcome::NotEnded,
            Some(Verdict::Failed) => Outcome::Failed,
            Some(Verdict::Error) => Outcome::Error,
            Some(Verdict::KnownFailure) => Outcome::KnownFailure,
            Some(Verdict::Flaky) => Outcome::Flaky,
            Some(Verdict::Passed) if again => Outcome::Flaky,
            Some(Verdict::Passed) => Outcome::Passed,
        }
    }

    /// The duration of the last attempt in seconds.
    pub(crate) fn duration(&self) -> Option<f64> {
        Some(self.attempts.last()?.end.as_ref()?.duration)
    }

    /// The full reason why it did not pass.
    pub(crate) fn reason(&self) -> Option<&str> {
        let last = self.attempts.last();
        let reason = last.and_then(|attempt| attempt.end.as_ref()?.reason.as_deref());
        reason.or(self.ignored.as_deref())
    }
}

impl Attempt {
    /// The evidence folder to use: the one with the failure snapshot, else that of the trial; `None` if it
    /// is not kept.
    pub(crate) fn left(&self) -> Option<&Path> {
        let end = self.end.as_ref().filter(|end| end.kept)?;
        match &end.machine {
            Some(SnapshotOutcome::Kept { folder, .. }) => Some(folder),
            _ => Some(&self.evidence),
        }
    }

    fn failed_step(&self) -> Option<usize> {
        let failed = self.steps.iter().rev().find(|step| step.failure.is_some());
        failed.map(|step| step.number).filter(|number| *number > 0)
    }

    fn booted(&mut self, on: Option<String>, timeline: BootTimeline) {
        if timeline.evidence != self.evidence {
            self.parents.push((None, timeline.evidence.clone()));
        }
        self.boots.push((on, timeline));
    }

    /// The last step with this number, if it has not ended.
    fn running_step(&mut self, number: usize) -> Option<&mut StepRun> {
        let is_running = |step: &&mut StepRun| step.number == number && step.duration.is_none();
        self.steps.iter_mut().rev().find(is_running)
    }

    /// The folder of the logs of each machine, with its name if there are several.
    pub(crate) fn logs(&self) -> Vec<(Option<&str>, PathBuf)> {
        logs_of(&self.evidence, &self.machines)
    }

    /// The machine that the attempt failed on, if there are several.
    pub(crate) fn failed_on(&self) -> Option<&str> {
        self.end.as_ref()?.failed_on.as_deref()
    }

    /// The duration in seconds, as far as it is known.
    pub(crate) fn length(&self) -> f64 {
        let step_end = |step: &StepRun| step.start + step.duration.unwrap_or(0.0) - self.start;
        let steps = self.steps.iter().map(step_end).fold(0.0, f64::max);
        self.end
            .as_ref()
            .map_or(steps, |end| end.duration.max(steps))
    }
}

/// The folder of the logs of each machine, with its name if there are several.
fn logs_of<'a>(evidence: &Path, machines: &'a [String]) -> Vec<(Option<&'a str>, PathBuf)> {
    if machines.is_empty() {
        return vec![(None, evidence.to_owned())];
    }
    let names = machines.iter().map(String::as_str);
    names
        .filter_map(|name| Some((Some(name), machine_folder(evidence, name)?)))
        .collect()
}

/// The folder of a machine in the evidence of a trial; `None` if its name is not that of a file.
pub(crate) fn machine_folder(evidence: &Path, machine: &str) -> Option<PathBuf> {
    let is_name = Path::new(machine).file_name() == Some(machine.as_ref());
    is_name.then(|| evidence.join(machine))
}

impl Outcome {
    /// All outcomes, those that need attention first.
    pub(crate) const ALL: [Self; 7] = [
        Self::Failed,
        Self::Error,
        Self::NotEnded,
        Self::Flaky,
        Self::KnownFailure,
        Self::Ignored,
        Self::Passed,
    ];

    /// The outcome as text.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Error => "error",
            Self::NotEnded => "not ended",
            Self::Flaky => "flaky",
            Self::KnownFailure => "known failure",
            Self::Ignored => "ignored",
            Self::Passed => "passed",
        }
    }

    /// Whether a person should look at the trial.
    pub(crate) fn needs_attention(self) -> bool {
        self < Self::KnownFailure
    }
}
