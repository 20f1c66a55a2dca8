//! A trial: one scenario on one profile, from power-on to verdict.
//!
//! Each step runs under [`Machine::guard`](crate::machine::Machine::guard), so a panic of the guest
//! ends it at once, and under a deadline. What happened is written down as it happens; a red trial
//! says all that one needs to know without running it again.

mod before;
mod begin;
mod broken;
mod deadline;
mod describe;
mod fault;
mod import;
mod invariants;
mod judge;
mod keep;
mod outcome;
mod record;
mod replay;
mod report;
mod session;
mod setups;
mod snapshot;
mod steps;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::artifacts::Artifacts;
use crate::checkpoint::Store;
use crate::event::{Listeners, StepHead, Verdict, What};
use crate::evidence::Evidence;
use crate::history::Usual;
use crate::host::scale::Scale;
use crate::machine::{Disk, KeyPair, MachineSpec};
use crate::profile::Profile;
use crate::scenario::{Action, CloudConfig, FaultStep, Scenario, Step};

pub(crate) use fault::printable;

pub use before::Stopped;
use begin::Begun;
use deadline::{Deadline, Pace, Patience};
use fault::Fault;
use invariants::Invariants;
pub use keep::{Fate, LIMIT_MIB, LIMIT_VARIABLE, limit, sweep, write_key};
pub use replay::{Ended, Past};
use report::{Ran, Red};
use session::Session;

/// What is tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The machine.
    pub profile: Profile,
    /// What must hold on it.
    pub scenario: Arc<Scenario>,
}

/// How it is tried.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where evidence folders go.
    pub evidence: PathBuf,
    /// Keep the evidence of a trial that passed, too.
    pub keep: bool,
    /// Who is told how it goes.
    pub listeners: Listeners,
    /// What random patterns are drawn from; another one each time unless given.
    pub seed: Option<u64>,
    /// Machines that are ready, to go on from; none has every machine booted.
    pub checkpoints: Option<Store>,
    /// How long steps take when they pass.
    pub usual: Usual,
    /// The machine of a red trial is kept in at most so many bytes; 0 keeps none.
    pub machine_limit: u64,
}

impl Settings {
    /// The same with a seed, which is drawn now where none was given.
    fn seeded(&self) -> Self {
        Self {
            seed: self.seed.or_else(|| Some(fastrand::u64(..))),
            ..self.clone()
        }
    }
}

/// Why a trial did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The machine did not do what the scenario expects.
    Red(RedVerdict),
    /// There was no machine to judge.
    Infrastructure(String),
}

/// A machine that did not do what the scenario expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedVerdict {
    /// All there is to say.
    pub text: String,
    /// The number of the red step, the first is 1; none where the machine did not become ready.
    pub step: Option<usize>,
    /// What became of the machine.
    pub machine: Fate,
}

impl Failure {
    /// All there is to say.
    pub fn text(&self) -> &str {
        match self {
            Self::Red(red) => &red.text,
            Self::Infrastructure(text) => text,
        }
    }
}

impl Step {
    /// What it is called, in a line: its name, or what it does.
    pub fn title(&self) -> String {
        describe::step(self)
    }
}

impl Trial {
    /// `PROFILE::SCENARIO`.
    pub fn name(&self) -> String {
        format!("{}::{}", self.profile.name, self.scenario.name)
    }

    /// Boots the machine, runs the steps, judges.
    ///
    /// # Errors
    /// The verdict is red, or none could be had.
    pub async fn run(&self, artifacts: &Artifacts, settings: &Settings) -> Result<(), Failure> {
        let settings = &settings.seeded();
        let evidence = self.evidence(artifacts, settings)?;
        let log = self.log(settings, &evidence, self.name());
        self.announce(&log);
        let verdict = Box::pin(self.verdict(artifacts, settings, &log)).await;
        let closed = close(&evidence, verdict);
        let kept = closed.is_err() || settings.keep;
        // Not written down: the folder has its own last word, and may be gone in a moment. It is
        // still there for who listens.
        settings.listeners.tell(ended(&log, &closed, kept));
        if !kept {
            remove(&log);
        }
        closed
    }

    /// From power-on or fork to the last step.
    async fn verdict(
        &self,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<(), Failure> {
        let all = self.scenario.steps.len();
        let begun = self.first_steps(all, artifacts, settings, log).await?;
        begun.machine.stop().await;
        Ok(())
    }

    /// The machine after so many steps; that of a red one is kept.
    async fn first_steps(
        &self,
        count: usize,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<Begun, Failure> {
        let begun = self.begin(artifacts, settings, log).await?;
        let snapshots = self.snapshots();
        let session = Session::new(Arc::clone(&begun.machine), &begun.keys, &snapshots);
        let mut session = session.with_seed(settings.seed);
        // On the heap: what a trial needs to remember is large, and stacks are not.
        let verdict = Box::pin(self.judge(artifacts, &begun, &mut session, count, log)).await;
        if let Err(red) = verdict {
            // Before its connections end: it is kept as it stands.
            let machine = &session.machine;
            outcome::screen(machine, log.evidence).await;
            let fate = self.keep(machine, &begun.keys, settings, log).await;
            let red = red.compose(self, machine, log.evidence, fate);
            machine.stop().await;
            return Err(Failure::Red(red));
        }
        // A step may have put another machine in its place.
        let machine = Arc::clone(&session.machine);
        drop(session);
        let mut begun = begun;
        begun.machine = machine;
        Ok(begun)
    }

    /// A new evidence folder, with what it takes to run the trial again.
    fn evidence(&self, artifacts: &Artifacts, settings: &Settings) -> Result<Evidence, Failure> {
        let folder = format!("{}-{}", self.profile.name, self.scenario.name);
        let evidence = Evidence::begin(&settings.evidence, &folder).map_err(|error| {
            let folder = settings.evidence.display();
            Failure::Infrastructure(format!("no evidence can be written to {folder}: {error}"))
        })?;
        // One that is red on purpose is run again with what makes it so.
        if !self.scenario.sabotaged {
            self.record(artifacts, settings, &evidence);
        }
        Ok(evidence)
    }

    fn announce(&self, log: &Log<'_>) {
        log.tell(What::TrialBegins {
            trial: self.name(),
            about: self.scenario.about.clone(),
            file: self.scenario.file.clone(),
            steps: self.scenario.steps.iter().map(head).collect(),
            evidence: log.evidence.folder().to_path_buf(),
        });
    }

    fn spec(&self, artifacts: &Artifacts, keys: &KeyPair) -> Result<MachineSpec, Failure> {
        let wanted = &self.scenario.machine;
        let key = wanted.ssh_key.then_some(keys.public.trim());
        let disks = wanted.disks.iter();
        Ok(MachineSpec {
            profile: self
                .profile
                .resolve(&artifacts.kernel)
                .map_err(|why| Failure::Infrastructure(why.to_string()))?,
            kernel: artifacts.kernel.clone(),
            initrd: Some(artifacts.initrd.clone()),
            kernel_args: wanted.kernel_arguments.clone(),
            memory: wanted.memory,
            disks: disks
                .map(|d| Disk::Blank {
                    mib: d.size,
                    label: d.label.clone(),
                })
                .collect(),
            user_data: CloudConfig::render(wanted.cloud_config.as_ref(), key)
                .map_err(Failure::Infrastructure)?,
            ssh_port: None,
            balloon: self.scenario.steps.iter().any(takes_memory),
            write_cache: self.cuts_power(),
        })
    }

    /// Where the snapshots of its steps are.
    fn snapshots(&self) -> PathBuf {
        self.scenario.file.with_file_name("snapshots")
    }

    fn cuts_power(&self) -> bool {
        let steps = &mut self.scenario.steps.iter();
        steps.any(|step| matches!(step.action, Action::PowerCut(_)))
    }

    fn log<'a>(&self, settings: &'a Settings, evidence: &'a Evidence, trial: String) -> Log<'a> {
        Log {
            trial,
            evidence,
            listeners: &settings.listeners,
            usual: &settings.usual,
            begin: Instant::now(),
        }
    }

    /// Until the machine is ready, then so many steps.
    async fn judge(
        &self,
        artifacts: &Artifacts,
        begun: &Begun,
        session: &mut Session<'_>,
        count: usize,
        log: &Log<'_>,
    ) -> Result<(), Red> {
        let mut ran = Vec::new();
        let (what, ready) = (begun.what(), begun.ready(session));
        let ready = log.around(0, 1, what, ready, &mut ran).await;
        if !begun.is_fork() {
            self.tell_boot(artifacts, &begun.machine, ready.is_ok(), log);
        }
        ready.map_err(|fault| Red::boot(fault, &ran))?;
        if !begun.is_fork() {
            for setup in &self.scenario.setups {
                self.set_up(setup, session, log, &mut ran).await?;
            }
        }

        session.first_disk = self.profile.disks.len();
        let verdict = self.steps(session, count, log, &mut ran).await;
        if verdict.is_err() || count < self.scenario.steps.len() {
            // It is kept as it stands, or a person goes on with what is broken.
            return verdict;
        }
        let limit = Deadline::within(scaled(deadline::MEND));
        if let Some(text) = session.mend_all(&limit).await {
            let trial = Some(log.trial.clone());
            log.tell(What::Note { trial, text });
        }
        verdict
    }

    async fn steps(
        &self,
        session: &mut Session<'_>,
        count: usize,
        log: &Log<'_>,
        ran: &mut Vec<Ran>,
    ) -> Result<(), Red> {
        let whole = Deadline::within(scaled(self.scenario.timeout));
        let scenario = &self.scenario;
        let key = scenario.machine.ssh_key;
        let invariants = Invariants::new(&scenario.invariants, key, session);
        let mut broken = std::pin::pin!(invariants.watch());
        for (number, step) in scenario.steps.iter().enumerate().take(count) {
            let what = describe::step(step);
            let patience = log.patience(number + 1, step, ran);
            let is_last = number + 1 == scenario.steps.len();
            let told = session.notes().len();
            let step_alone =
                async |session: &mut Session<'_>| within(step, session, &whole, patience).await;
            let work = invariants.during(step, is_last, session, step_alone);
            let work = async {
                tokio::select! {
                    verdict = work => verdict,
                    fault = &mut broken => Err(fault),
                }
            };
            let verdict = log.around(number + 1, step.line, &what, work, ran).await;
            log.notes(&session.notes()[told..]);
            verdict.map_err(|fault| Red::step(noted(fault, session), number, ran))?;
        }
        Ok(())
    }
}

/// A step under the guard, its own deadline and that of the whole scenario.
async fn within(
    step: &Step,
    session: &mut Session<'_>,
    whole: &Deadline,
    patience: Patience,
) -> Result<(), Fault> {
    /// What a wait gets to say what it saw last, before it is cut off.
    const LAST_WORDS: Duration = Duration::from_secs(3);

    if whole.left().is_zero() {
        let limit = whole.limit().as_secs_f64();
        return Err(Fault::new(format!(
            "the scenario's {limit:.0} s were over before this step"
        )));
    }
    let limit = patience.limit.min(whole.left());
    let deadline = Deadline::within(limit);
    let machine = Arc::clone(&session.machine);
    let work = async { Ok(steps::perform(step, session, &deadline).await) };
    let ended = match tokio::time::timeout(limit + LAST_WORDS, machine.guard(work)).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(bad)) => Err(bad.into()),
        Err(_) => {
            let limit = limit.as_secs_f64();
            Err(Fault::new(format!(
                "the step did not end within {limit:.0} s"
            )))
        }
    };
    ended.map_err(|fault| match deadline.left().is_zero() {
        true => patience.told(fault),
        false => fault,
    })
}

/// A fault with what was noted before it.
fn noted(fault: Fault, session: &Session<'_>) -> Fault {
    let notes = session.notes().iter();
    notes.fold(fault, |fault, note| fault.with("note", note.as_str()))
}

/// A time on the reference host, on this one.
fn scaled(time: Duration) -> Duration {
    Scale::of_host().apply(time)
}

fn takes_memory(step: &Step) -> bool {
    matches!(&step.action, Action::Fault(FaultStep::Memory(_)))
}

fn head(step: &Step) -> StepHead {
    StepHead {
        line: step.line,
        what: describe::step(step),
    }
}

/// What is written down and told while a trial runs.
struct Log<'a> {
    trial: String,
    evidence: &'a Evidence,
    listeners: &'a Listeners,
    usual: &'a Usual,
    begin: Instant,
}

impl Log<'_> {
    /// How long to wait for a step, by what it and those before it usually take.
    fn patience(&self, number: usize, step: &Step, ran: &[Ran]) -> Patience {
        let usually = |number, what: &str| self.usual.step(&self.trial, number, what);
        let before = ran.iter().enumerate();
        // What is before the first step is one thing or, with setups, several.
        let number_of = |index: usize| (index + number).saturating_sub(ran.len());
        let times = before.map(|(index, ran)| (ran.took, usually(number_of(index), &ran.what)));
        Patience::of(step, usually(number, ""), Pace::of(times))
    }

    async fn around(
        &self,
        step: usize,
        line: usize,
        what: &str,
        work: impl Future<Output = Result<(), Fault>>,
        ran: &mut Vec<Ran>,
    ) -> Result<(), Fault> {
        let begin = Instant::now();
        self.tell(What::StepBegins {
            trial: self.trial.clone(),
            step,
            line,
            what: what.into(),
        });
        let verdict = work.await;
        let took = begin.elapsed();
        self.tell(What::StepEnds {
            trial: self.trial.clone(),
            step,
            what: what.into(),
            took: took.as_secs_f64(),
            fault: verdict.as_ref().err().map(Fault::render),
        });
        ran.push(Ran {
            what: what.into(),
            took,
        });
        verdict
    }

    fn notes(&self, notes: &[String]) {
        for text in notes {
            self.tell(What::Note {
                trial: Some(self.trial.clone()),
                text: text.clone(),
            });
        }
    }

    /// Tells who listens, and writes it down.
    fn tell(&self, what: What) {
        self.evidence.record(&self.listeners.tell(what));
    }
}

/// Writes the verdict down.
fn close(evidence: &Evidence, verdict: Result<(), Failure>) -> Result<(), Failure> {
    let result = match &verdict {
        Ok(()) => json!({ "verdict": Verdict::Passed }),
        Err(Failure::Red(red)) => {
            let machine = &red.machine;
            json!({ "verdict": Verdict::Red, "step": red.step, "why": red.text, "machine": machine })
        }
        Err(Failure::Infrastructure(why)) => json!({ "verdict": Verdict::NoVerdict, "why": why }),
    };
    let written = evidence.finish(&result);
    verdict?;
    written.map_err(|error| {
        let folder = evidence.folder().display();
        Failure::Infrastructure(format!("passed, but the evidence in {folder}: {error}"))
    })
}

/// What passed leaves nothing, unless it is to be kept.
fn remove(log: &Log<'_>) {
    let folder = log.evidence.folder();
    if let Err(error) = std::fs::remove_dir_all(folder) {
        let folder = folder.display();
        log.listeners.tell(What::Note {
            trial: Some(log.trial.clone()),
            text: format!("{folder} stays, though the trial passed: {error}"),
        });
    }
}

/// The last word of a trial.
fn ended(log: &Log<'_>, closed: &Result<(), Failure>, kept: bool) -> What {
    let (verdict, step) = match closed {
        Ok(()) => (Verdict::Passed, None),
        Err(Failure::Red(red)) => (Verdict::Red, red.step),
        Err(Failure::Infrastructure(_)) => (Verdict::NoVerdict, None),
    };
    let folder = log.evidence.folder();
    What::TrialEnds {
        trial: log.trial.clone(),
        verdict,
        took: log.begin.elapsed().as_secs_f64(),
        step,
        why: closed
            .as_ref()
            .err()
            .map(|failure| failure.text().to_owned()),
        evidence: kept.then(|| folder.to_path_buf()),
    }
}

#[cfg(test)]
mod tests;
