//! What must hold all through a trial: checked in the background while steps run, after each step
//! that took the machine away, and after the last one.
//!
//! That the console says nothing bad is seen without asking
//! ([`Machine::fail_fast`](machine::Machine::fail_fast)).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::time::MissedTickBehavior;

use crate::project::Project;
use base::wait::{Poll, wait_until};
use machine::{Engine, KeyPair, Machine, MachineError};
use scenario::{Action, Step};

use super::deadline::{self, Deadline, StepTimeout};
use super::session::Session;
use super::step_failure::StepFailure;
use super::{scaled, steps};

/// Between two looks. A look costs an emulated machine about 0.1 s.
const INTERVAL: Duration = Duration::from_secs(5);
/// For an answer, whatever becomes of the line to it, on the reference host.
const ANSWER: Duration = Duration::from_secs(40);
/// For an engine's, over one line.
const PING: Duration = Duration::from_secs(15);

/// What must hold all through a trial.
pub(super) struct Invariants<'a> {
    steps: &'a [Step],
    /// Whether the machine has a system-docker to be asked.
    engine: bool,
    keys: &'a KeyPair,
    snapshots: &'a Path,
    project: &'a Project,
    /// The machine as it is now. CheckpointLease for reading by a look, for writing by a step that takes the
    /// machine away.
    now: RwLock<Arc<Machine>>,
    /// It stands still, is off, or has no network to rely on, and so cannot be asked.
    silent: AtomicBool,
    /// It boots still: nobody is there to be asked.
    boots: bool,
}

impl<'a> Invariants<'a> {
    /// Those of a scenario, and that system-docker is alive where there is one and somebody is let
    /// in to ask it.
    pub(super) fn new(steps: &'a [Step], ssh_key: bool, session: &Session<'a>) -> Self {
        Self {
            steps,
            engine: ssh_key && session.machine.reports_boot(),
            keys: session.keys,
            snapshots: session.snapshots,
            project: session.project,
            now: RwLock::new(Arc::clone(&session.machine)),
            silent: AtomicBool::new(false),
            boots: false,
        }
    }

    /// The same, the first look after the end of a boot that goes on.
    pub(super) fn once_booted(self, boots: bool) -> Self {
        Self { boots, ..self }
    }

    /// Looks until something does not hold; ends only then.
    pub(super) async fn watch(&self) -> StepFailure {
        if self.steps.is_empty() && !self.engine {
            return std::future::pending().await;
        }
        let mut looks = tokio::time::interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one comes at once.
        looks.tick().await;
        let machine = Arc::clone(&*self.now.read().await);
        if self.boots {
            // One that does not end turns the first look red, or what is asked of it.
            let _ = machine.wait_ready(scaled(deadline::BOOT)).await;
        }
        let mut session = Session::new(machine, self.keys, self.snapshots, self.project);
        loop {
            looks.tick().await;
            let now = self.now.read().await;
            if self.silent.load(Ordering::Relaxed) {
                continue;
            }
            session.go_on_with(&now);
            if let Err(fault) = self.check(&mut session).await {
                return fault;
            }
        }
    }

    /// Does a step. No look meets it where it takes the machine away, and all must hold after it
    /// where it did, or is the last.
    pub(super) async fn during(
        &self,
        step: &Step,
        is_last: bool,
        session: &mut Session<'_>,
        work: impl AsyncFnOnce(&mut Session<'_>) -> Result<(), StepFailure>,
    ) -> Result<(), StepFailure> {
        let away = takes_away(step);
        let now = if away {
            Some(self.now.write().await)
        } else {
            None
        };
        work(session).await?;
        if let Some(mut now) = now {
            *now = Arc::clone(&session.machine);
            self.silent.store(session.is_silent(), Ordering::Relaxed);
        }
        if (away || is_last) && !session.is_silent() {
            self.check(session).await?;
        }
        Ok(())
    }

    /// Looks once at each, but no longer than the machine is there.
    async fn check(&self, session: &mut Session<'_>) -> Result<(), StepFailure> {
        let machine = Arc::clone(&session.machine);
        let looks = async { Ok(self.look(session).await) };
        machine.fail_fast(looks).await?
    }

    async fn look(&self, session: &mut Session<'_>) -> Result<(), StepFailure> {
        if self.engine {
            let look = async |session: &mut Session<'_>| engine(session).await;
            holds("system-docker is alive", session, look).await?;
        }
        for step in self.steps {
            let look = async |session: &mut Session<'_>| {
                let limit = Deadline::within(StepTimeout::with(step).limit);
                steps::perform(step, session, &limit).await
            };
            holds(&step.title(), session, look).await?;
        }
        Ok(())
    }
}

/// Looks until there is an answer: a line to the machine may have ended with a reboot, or because a
/// step ended it, and is made anew. An answer that is not the wanted one counts at once.
async fn holds(
    what: &str,
    session: &mut Session<'_>,
    look: impl AsyncFn(&mut Session<'_>) -> Result<(), StepFailure>,
) -> Result<(), StepFailure> {
    let broken = |mut fault: StepFailure| {
        fault.what = format!("an invariant does not hold: {what}\n{}", fault.what);
        fault
    };
    let mut answer = Ok(());
    let looks = wait_until(what, scaled(ANSWER), async || match look(session).await {
        Err(fault) if fault.is_line => {
            session.forget();
            Poll::NotYet(fault.what)
        }
        other => {
            answer = other;
            Poll::Ready(())
        }
    });
    if let Err(silence) = looks.await {
        return Err(broken(MachineError::from(silence).into()));
    }
    answer.map_err(broken)
}

async fn engine(session: &mut Session<'_>) -> Result<(), StepFailure> {
    let limit = Deadline::within(scaled(PING));
    let docker = session.docker(Engine::System, &limit).await?;
    match tokio::time::timeout(limit.left(), docker.ping()).await {
        Ok(answer) => Ok(answer.map(drop)?),
        Err(_) => Err(StepFailure {
            is_line: true,
            ..StepFailure::new("system-docker does not answer")
        }),
    }
}

/// Whether nobody can be asked while a step is done.
fn takes_away(step: &Step) -> bool {
    match &step.action {
        Action::Reboot(_) | Action::PowerCut(_) => true,
        Action::Fault(fault) => fault.interrupts_machine(),
        _ => false,
    }
}
