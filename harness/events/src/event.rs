//! What happens in a run, told as it happens: to who looks on, to files, to reports.
//!
//! One stream for all of them, so that the terminal, the JSON stream, JUnit and the page cannot
//! disagree. The evidence of a trial keeps those of its own as `steps.jsonl`.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fate::Fate;
use crate::ladder::Ladder;
use base::clock::now;
use base::text::printable;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Seconds since 1970.
    pub at: f64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// A run begins.
    RunBegins {
        /// The trials that it will run, by name.
        trials: Vec<String>,
        /// Those that this host cannot run, with the reason.
        ignored: Vec<(String, String)>,
    },
    /// A trial begins.
    TrialBegins {
        /// `PROFILE::SCENARIO`.
        trial: String,
        /// What the scenario proves.
        about: String,
        /// The scenario's file.
        file: PathBuf,
        /// Its steps in order; the boot or fork before them is none of them.
        steps: Vec<StepHead>,
        /// Where its evidence is.
        evidence: PathBuf,
    },
    /// A step begins; 0 is the boot or the fork before the first.
    StepBegins {
        /// Which trial.
        trial: String,
        /// Which step.
        step: usize,
        /// Where it stands in the scenario's file.
        line: usize,
        /// What it does.
        what: String,
    },
    /// A step ended.
    StepEnds {
        /// Which trial.
        trial: String,
        /// Which step.
        step: usize,
        /// What it did.
        what: String,
        /// How long it took, in seconds.
        took: f64,
        /// Why it is red.
        fault: Option<String>,
    },
    /// A boot ended, well or not: power-on for a trial, or for the checkpoint that it goes on from.
    Boot {
        /// For which trial.
        trial: String,
        /// How far it came, and when.
        #[serde(flatten)]
        ladder: Ladder,
    },
    /// A setup ended, well or not, on a machine of its own that becomes a checkpoint.
    Setup {
        /// For which trial.
        trial: String,
        /// Its name.
        setup: String,
        /// The evidence of that machine, which is not that of the trial.
        evidence: PathBuf,
        /// Whether all its steps held.
        ready: bool,
    },
    /// Something that people should know and that changes no verdict.
    Note {
        /// About which trial.
        trial: Option<String>,
        /// What.
        text: String,
    },
    /// An attempt at a trial did not pass, and another one follows; the trial has not ended.
    AttemptEnds {
        /// Which trial.
        trial: String,
        /// Which attempt; the first is 1.
        attempt: u32,
        /// How.
        verdict: Verdict,
        /// How long it took, in seconds.
        took: f64,
        /// All there is to say about why it did not pass.
        why: Option<String>,
        /// Where its evidence is.
        evidence: Option<PathBuf>,
        /// What became of its machine, where it is red.
        #[serde(default)]
        machine: Option<Fate>,
    },
    /// A trial ended.
    TrialEnds {
        /// Which trial.
        trial: String,
        /// How.
        verdict: Verdict,
        /// How long it took, in seconds.
        took: f64,
        /// The number of the red step; none where it is the boot, or nothing is red.
        step: Option<usize>,
        /// All there is to say about why it did not pass.
        why: Option<String>,
        /// Where its evidence is, if it was kept.
        evidence: Option<PathBuf>,
        /// What became of its machine, where it is red.
        #[serde(default)]
        machine: Option<Fate>,
    },
    /// The run ended.
    RunEnds {
        /// How long it took, in seconds.
        took: f64,
    },
}

impl Event {
    /// The same in letters that act on nothing: some of them are a guest's.
    #[must_use]
    pub fn printable(mut self) -> Self {
        let (texts, paths) = self.what.words();
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

impl What {
    /// All of its texts, and its paths.
    fn words(&mut self) -> (Vec<&mut String>, Vec<&mut PathBuf>) {
        let (mut texts, mut paths) = (Vec::new(), Vec::new());
        match self {
            Self::RunBegins { trials, ignored } => {
                texts.extend(trials);
                texts.extend(ignored.iter_mut().flat_map(|(trial, why)| [trial, why]));
            }
            Self::TrialBegins {
                trial,
                about,
                file,
                steps,
                evidence,
            } => {
                texts.extend([trial, about]);
                texts.extend(steps.iter_mut().map(|step| &mut step.what));
                paths.extend([file, evidence]);
            }
            Self::StepBegins { trial, what, .. } => texts.extend([trial, what]),
            Self::StepEnds {
                trial, what, fault, ..
            } => texts.extend([trial, what].into_iter().chain(fault)),
            Self::Boot { trial, ladder } => {
                texts.extend([
                    trial,
                    &mut ladder.profile,
                    &mut ladder.accelerator,
                    &mut ladder.build,
                ]);
                for rung in &mut ladder.rungs {
                    texts.extend([&mut rung.stage].into_iter().chain(&mut rung.error));
                }
                paths.push(&mut ladder.evidence);
            }
            Self::Setup {
                trial,
                setup,
                evidence,
                ..
            } => {
                texts.extend([trial, setup]);
                paths.push(evidence);
            }
            Self::Note { trial, text } => texts.extend([text].into_iter().chain(trial)),
            Self::AttemptEnds {
                trial,
                why,
                evidence,
                machine,
                ..
            }
            | Self::TrialEnds {
                trial,
                why,
                evidence,
                machine,
                ..
            } => {
                texts.extend([trial].into_iter().chain(why));
                paths.extend(evidence);
                match machine {
                    Some(Fate::No { why }) => texts.push(why),
                    Some(Fate::Yes { folder, .. }) => paths.push(folder),
                    None => {}
                }
            }
            Self::RunEnds { .. } => {}
        }
        (texts, paths)
    }
}

/// A step as it is announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepHead {
    /// Where it stands in the scenario's file.
    pub line: usize,
    /// What it does.
    pub what: String,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All held.
    Passed,
    /// A step, or the boot before it, did not hold.
    Red,
    /// There was no machine to judge.
    NoVerdict,
    /// It passed after an attempt that did not.
    Flaky,
    /// It is red, and known to be (`known_failure` of the scenario).
    KnownFailure,
}

/// Who is told of events, in the thread in which they happen: it must not wait.
pub trait Listener: Send + Sync {
    /// Hears of one.
    fn hear(&self, event: &Event);
}

/// All who listen.
#[derive(Clone, Default)]
pub struct Listeners(Vec<Arc<dyn Listener>>);

impl Listeners {
    /// The same with one more.
    #[must_use]
    pub fn with(mut self, listener: impl Listener + 'static) -> Self {
        self.0.push(Arc::new(listener));
        self
    }

    /// Tells all of them, and gives back what was told.
    pub fn tell(&self, what: What) -> Event {
        let event = Event { at: now(), what }.printable();
        for listener in &self.0 {
            listener.hear(&event);
        }
        event
    }
}

impl std::fmt::Debug for Listeners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}
