//! The events of a run, sent as they occur to the terminal, files and reports.
//!
//! All of them receive the same stream, so that the terminal, the JSON stream, JUnit and the page cannot
//! disagree. The evidence of a trial has the events of that trial as `steps.jsonl`.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::snapshot_outcome::SnapshotOutcome;
use crate::timeline::BootTimeline;
use base::clock::now;
use base::text::printable;

/// An event and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Seconds since 1970.
    pub timestamp: f64,
    /// The kind of event, with its data.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// A run begins.
    RunBegins {
        /// The names of the trials to run.
        trials: Vec<String>,
        /// The trials that this host cannot run, with the reasons.
        ignored: Vec<(String, String)>,
    },
    /// A trial of this run does not start, because the budget of the run is used up.
    TrialLeftOut {
        /// The name of the trial.
        trial: String,
        /// Why it does not start.
        reason: String,
    },
    /// A trial begins.
    TrialBegins {
        /// `PROFILE::SCENARIO`.
        trial: String,
        /// What the scenario proves.
        about: String,
        /// The scenario's file.
        file: PathBuf,
        /// The steps in order, without the boot or fork before them.
        steps: Vec<StepHead>,
        /// The names of the machines, if there are several. Each has a folder of its name in the evidence.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        machines: Vec<String>,
        /// The evidence folder.
        evidence: PathBuf,
    },
    /// A step begins. Step 0 is the boot or fork before the first step.
    StepBegins {
        /// The trial.
        trial: String,
        /// The number of the step.
        step: usize,
        /// The line in the scenario file, from 1.
        line: usize,
        /// The title.
        title: String,
        /// The machines that the step is about, if the trial has several and it is not about all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        on: Vec<String>,
    },
    /// A step ended.
    StepEnds {
        /// The trial.
        trial: String,
        /// The number of the step.
        step: usize,
        /// The title.
        title: String,
        /// The duration in seconds.
        duration: f64,
        /// Why the step failed; `None` if it passed.
        failure: Option<String>,
        /// The machine that it failed on, if there are several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed_on: Option<String>,
    },
    /// A boot ended, successfully or not: for a trial, or for the checkpoint that the trial is forked
    /// from.
    Boot {
        /// The trial.
        trial: String,
        /// The machine, if the trial has several and it is one of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<String>,
        /// The boot timeline.
        #[serde(flatten)]
        timeline: BootTimeline,
    },
    /// A setup ended, successfully or not, on a machine of its own that becomes a checkpoint.
    Setup {
        /// The trial.
        trial: String,
        /// The name of the setup.
        setup: String,
        /// The evidence folder of that machine, which is not that of the trial.
        evidence: PathBuf,
        /// The names of the machines, if there are several. Each has a folder of its name in the evidence.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        machines: Vec<String>,
        /// Whether all its steps passed.
        ready: bool,
    },
    /// Information that changes no verdict.
    Note {
        /// The trial, if the note is about one.
        trial: Option<String>,
        /// The text.
        text: String,
    },
    /// An attempt at a trial did not pass, and a retry follows. The trial has not ended.
    AttemptEnds {
        /// The trial.
        trial: String,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The verdict.
        verdict: Verdict,
        /// The duration in seconds.
        duration: f64,
        /// The full reason if it did not pass.
        reason: Option<String>,
        /// The evidence folder.
        evidence: Option<PathBuf>,
        /// What happened to the machine of a failed attempt.
        #[serde(default)]
        machine: Option<SnapshotOutcome>,
        /// The machine that it failed on, if there are several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed_on: Option<String>,
    },
    /// A trial ended.
    TrialEnds {
        /// The trial.
        trial: String,
        /// The verdict.
        verdict: Verdict,
        /// The duration in seconds.
        duration: f64,
        /// The number of the failed step; `None` if the boot failed, or nothing failed.
        step: Option<usize>,
        /// The full reason if it did not pass.
        reason: Option<String>,
        /// The evidence folder, if it is kept.
        evidence: Option<PathBuf>,
        /// What happened to the machine of a failed attempt.
        #[serde(default)]
        machine: Option<SnapshotOutcome>,
        /// The machine that it failed on, if there are several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed_on: Option<String>,
    },
    /// The run ended.
    RunEnds {
        /// The duration in seconds.
        duration: f64,
    },
}

impl Event {
    /// Escapes control characters in all texts, some of which come from the guest.
    #[must_use]
    pub fn printable(mut self) -> Self {
        let (texts, paths) = self.kind.texts();
        for text in texts {
            *text = printable(text);
        }
        for path in paths {
            if let Some(text) = path.to_str() {
                *path = printable(text).into();
            }
        }
        self
    }
}

impl EventKind {
    /// All texts and all paths of the event.
    fn texts(&mut self) -> (Vec<&mut String>, Vec<&mut PathBuf>) {
        let (mut texts, mut paths) = (Vec::new(), Vec::new());
        match self {
            Self::RunBegins { trials, ignored } => {
                texts.extend(trials);
                texts.extend(
                    ignored
                        .iter_mut()
                        .flat_map(|(trial, reason)| [trial, reason]),
                );
            }
            Self::TrialLeftOut { trial, reason } => texts.extend([trial, reason]),
            Self::TrialBegins {
                trial,
                about,
                file,
                steps,
                machines,
                evidence,
            } => {
                texts.extend([trial, about]);
                texts.extend(machines);
                for step in steps {
                    texts.push(&mut step.title);
                    texts.extend(&mut step.on);
                }
                paths.extend([file, evidence]);
            }
            Self::StepBegins {
                trial, title, on, ..
            } => texts.extend([trial, title].into_iter().chain(on)),
            Self::StepEnds {
                trial,
                title,
                failure,
                failed_on,
                ..
            } => {
                texts.extend([trial, title].into_iter().chain(failure));
                texts.extend(failed_on);
            }
            Self::Boot {
                trial,
                on,
                timeline,
            } => {
                texts.extend(on);
                texts.extend([
                    trial,
                    &mut timeline.profile,
                    &mut timeline.accelerator,
                    &mut timeline.build,
                ]);
                for stage in &mut timeline.stages {
                    texts.extend([&mut stage.stage].into_iter().chain(&mut stage.error));
                }
                paths.push(&mut timeline.evidence);
            }
            Self::Setup {
                trial,
                setup,
                evidence,
                machines,
                ..
            } => {
                texts.extend([trial, setup].into_iter().chain(machines));
                paths.push(evidence);
            }
            Self::Note { trial, text } => texts.extend([text].into_iter().chain(trial)),
            Self::AttemptEnds {
                trial,
                reason,
                evidence,
                machine,
                failed_on,
                ..
            }
            | Self::TrialEnds {
                trial,
                reason,
                evidence,
                machine,
                failed_on,
                ..
            } => {
                texts.extend([trial].into_iter().chain(reason).chain(failed_on));
                paths.extend(evidence);
                match machine {
                    Some(SnapshotOutcome::NotKept { reason }) => texts.push(reason),
                    Some(SnapshotOutcome::Kept { folder, .. }) => paths.push(folder),
                    None => {}
                }
            }
            Self::RunEnds { .. } => {}
        }
        (texts, paths)
    }
}

/// The line and title of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepHead {
    /// The line in the scenario file, from 1.
    pub line: usize,
    /// The title.
    pub title: String,
    /// The machines that it is about, if there are several and it is not about all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
}

/// The verdict of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All steps succeeded.
    Passed,
    /// A step, or the boot before it, failed.
    Failed,
    /// The harness could not provide a machine to judge.
    Error,
    /// It passed after a failed attempt.
    Flaky,
    /// It failed, and `known_failure` of the scenario accepts the failure.
    KnownFailure,
}

/// Receives events in the thread in which they occur; it must not block.
pub trait Listener: Send + Sync {
    /// Handles an event.
    fn on_event(&self, event: &Event);
}

/// The listeners of a run.
#[derive(Clone, Default)]
pub struct Listeners(Vec<Arc<dyn Listener>>);

impl Listeners {
    /// Adds a listener.
    #[must_use]
    pub fn with(mut self, listener: impl Listener + 'static) -> Self {
        self.0.push(Arc::new(listener));
        self
    }

    /// Sends an event to all listeners, and returns it.
    pub fn emit(&self, kind: EventKind) -> Event {
        let event = Event {
            timestamp: now(),
            kind,
        }
        .printable();
        for listener in &self.0 {
            listener.on_event(&event);
        }
        event
    }
}

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}
