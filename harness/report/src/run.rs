//! A run as its events tell of it: the trials, each with its attempts, and how they ended.

use std::path::{Path, PathBuf};

use events::Fate;
use events::Ladder;
use events::{Event, StepHead, Verdict, What};

/// A run.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// When it began, in seconds since 1970.
    pub at: f64,
    /// How long it took, in seconds; none where it did not end.
    pub took: Option<f64>,
    /// By name.
    pub trials: Vec<Tried>,
    /// What is to be known about no trial in particular.
    pub notes: Vec<String>,
}

/// A scenario on a profile.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    /// `PROFILE::SCENARIO`.
    pub name: String,
    /// Why this host cannot run it.
    pub ignored: Option<String>,
    /// One, or several where it was tried again.
    pub attempts: Vec<Attempt>,
}

/// What became of a trial, all its attempts taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A step, or the boot before it, did not hold.
    Red,
    /// There was no machine to judge.
    NoVerdict,
    /// It began, or was to begin, and nothing was heard of its end.
    NotEnded,
    /// It passed after it had been red.
    Flaky,
    /// It is red, and known to be.
    Known,
    /// This host cannot run it.
    Ignored,
    /// All held.
    Passed,
}

/// From the beginning of a trial to its end.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// When it began, in seconds since 1970.
    pub at: f64,
    /// What the scenario proves.
    pub about: String,
    /// The scenario's file.
    pub file: PathBuf,
    /// The steps of the scenario, whether they ran or not.
    pub heads: Vec<StepHead>,
    /// What ran.
    pub steps: Vec<Ran>,
    /// How its machines booted.
    pub boots: Vec<Ladder>,
    /// The evidence of the machines that it was forked from, where they were made for it.
    pub parents: Vec<PathBuf>,
    /// What is to be known.
    pub notes: Vec<String>,
    /// Where its evidence was.
    pub evidence: PathBuf,
    /// How it ended.
    pub end: Option<End>,
}

/// A step that began.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Which step; 0 is what comes before the first.
    pub number: usize,
    /// Where it stands in the scenario's file.
    pub line: usize,
    /// What it does.
    pub what: String,
    /// When it began, in seconds since 1970.
    pub at: f64,
    /// How long it took, in seconds; none where it did not end.
    pub took: Option<f64>,
    /// Why it is red.
    pub fault: Option<String>,
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub struct End {
    /// How.
    pub verdict: Verdict,
    /// How long all took, in seconds.
    pub took: f64,
    /// The number of the red step.
    pub step: Option<usize>,
    /// All there is to say about why it did not pass.
    pub why: Option<String>,
    /// Whether its evidence was kept.
    pub kept: bool,
    /// What became of the machine of a red one.
    pub machine: Option<Fate>,
}

impl Run {
    /// What a stream of events tells.
    pub fn of(events: &[Event]) -> Self {
        let mut run = Self {
            at: events.first().map_or(0.0, |event| event.at),
            ..Self::default()
        };
        for event in events {
            run.hear(event);
        }
        run.trials.sort_by(|a, b| a.name.cmp(&b.name));
        run
    }

    fn hear(&mut self, event: &Event) {
        match event.what.clone() {
            What::RunBegins { trials, ignored } => {
                for trial in &trials {
                    self.tried(trial);
                }
                for (trial, why) in ignored {
                    self.tried(&trial).ignored = Some(why);
                }
            }
            What::RunEnds { .. } => self.took = Some(event.at - self.at),
            What::Note { trial: None, text } => self.notes.push(text),
            what => self.hear_of_trial(event.at, what),
        }
    }

    fn hear_of_trial(&mut self, at: f64, what: What) {
        match what {
            What::TrialBegins {
                trial,
                about,
                file,
                steps,
                evidence,
            } => self.tried(&trial).attempts.push(Attempt {
                at,
                about,
                file,
                heads: steps,
                evidence,
                ..Attempt::default()
            }),
            What::StepBegins {
                trial,
                step,
                line,
                what,
            } => self.running(&trial, |one| {
                one.steps.push(Ran {
                    number: step,
                    line,
                    what,
                    at,
                    took: None,
                    fault: None,
                });
            }),
            what => self.hear_of_end(what),
        }
    }

    fn hear_of_end(&mut self, what: What) {
        match what {
            What::StepEnds {
                trial,
                step,
                took,
                fault,
                ..
            } => self.running(&trial, |one| one.step_ends(step, took, fault)),
            What::Boot { trial, ladder } => self.running(&trial, |one| one.booted(ladder)),
            What::Setup {
                trial, evidence, ..
            } => self.running(&trial, |one| one.parents.push(evidence)),
            What::Note {
                trial: Some(trial),
                text,
            } => self.running(&trial, |one| one.notes.push(text)),
            What::AttemptEnds {
                trial,
                verdict,
                took,
                why,
                evidence,
                machine,
                ..
            } => self.running(&trial, |one| {
                one.end = Some(End {
                    verdict,
                    took,
                    step: one.red_step(),
                    why,
                    kept: evidence.is_some(),
                    machine,
                });
            }),
            What::TrialEnds {
                trial,
                verdict,
                took,
                step,
                why,
                evidence,
                machine,
            } => self.running(&trial, |one| {
                one.end = Some(End {
                    verdict,
                    took,
                    step,
                    why,
                    kept: evidence.is_some(),
                    machine,
                });
            }),
            _ => {}
        }
    }

    fn tried(&mut self, name: &str) -> &mut Tried {
        let known = self.trials.iter().position(|trial| trial.name == name);
        let at = known.unwrap_or_else(|| {
            self.trials.push(Tried {
                name: name.to_owned(),
                ..Tried::default()
            });
            self.trials.len() - 1
        });
        &mut self.trials[at]
    }

    fn running(&mut self, trial: &str, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.tried(trial).attempts.last_mut() {
            change(attempt);
        }
    }

    /// How many ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        let so = |trial: &&Tried| trial.outcome() == outcome;
        self.trials.iter().filter(so).count()
    }
}

impl Tried {
    /// The machine.
    pub fn profile(&self) -> &str {
        self.name
            .split_once("::")
            .map_or("", |(profile, _)| profile)
    }

    /// What must hold on it.
    pub fn scenario(&self) -> &str {
        let parts = self.name.split_once("::");
        parts.map_or(&*self.name, |(_, scenario)| scenario)
    }

    /// What became of it.
    pub fn outcome(&self) -> Outcome {
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
            Some(Verdict::Red) => Outcome::Red,
            Some(Verdict::NoVerdict) => Outcome::NoVerdict,
            Some(Verdict::KnownFailure) => Outcome::Known,
            Some(Verdict::Flaky) => Outcome::Flaky,
            Some(Verdict::Passed) if again => Outcome::Flaky,
            Some(Verdict::Passed) => Outcome::Passed,
        }
    }

    /// How long its last attempt took, in seconds.
    pub fn took(&self) -> Option<f64> {
        Some(self.attempts.last()?.end.as_ref()?.took)
    }

    /// Why it did not pass, at full length.
    pub fn why(&self) -> Option<&str> {
        let last = self.attempts.last();
        let why = last.and_then(|one| one.end.as_ref()?.why.as_deref());
        why.or(self.ignored.as_deref())
    }
}

impl Attempt {
    /// The evidence folder to look into: the one with the machine that is kept, or that of the
    /// trial; none where it is gone.
    pub fn left(&self) -> Option<&Path> {
        let end = self.end.as_ref().filter(|end| end.kept)?;
        match &end.machine {
            Some(Fate::Yes { folder, .. }) => Some(folder),
            _ => Some(&self.evidence),
        }
    }

    fn red_step(&self) -> Option<usize> {
        let red = self.steps.iter().rev().find(|ran| ran.fault.is_some());
        red.map(|ran| ran.number).filter(|number| *number > 0)
    }

    fn booted(&mut self, ladder: Ladder) {
        if ladder.evidence != self.evidence {
            self.parents.push(ladder.evidence.clone());
        }
        self.boots.push(ladder);
    }

    fn step_ends(&mut self, number: usize, took: f64, fault: Option<String>) {
        let open = |ran: &&mut Ran| ran.number == number && ran.took.is_none();
        if let Some(ran) = self.steps.iter_mut().rev().find(open) {
            (ran.took, ran.fault) = (Some(took), fault);
        }
    }

    /// How long it took as far as is known, in seconds.
    pub fn length(&self) -> f64 {
        let step_end = |ran: &Ran| ran.at + ran.took.unwrap_or(0.0) - self.at;
        let steps = self.steps.iter().map(step_end).fold(0.0, f64::max);
        self.end.as_ref().map_or(steps, |end| end.took.max(steps))
    }
}

impl Outcome {
    /// All of them, those that want to be looked at first.
    pub const ALL: [Self; 7] = [
        Self::Red,
        Self::NoVerdict,
        Self::NotEnded,
        Self::Flaky,
        Self::Known,
        Self::Ignored,
        Self::Passed,
    ];

    /// In a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::NoVerdict => "no verdict",
            Self::NotEnded => "not ended",
            Self::Flaky => "flaky",
            Self::Known => "known failure",
            Self::Ignored => "ignored",
            Self::Passed => "passed",
        }
    }

    /// Whether somebody should look at it.
    pub fn wants_a_look(self) -> bool {
        self < Self::Known
    }
}
