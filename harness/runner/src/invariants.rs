//! Invariants: conditions that must hold throughout a trial. They are checked in the background while steps
//! run, after each step that interrupts the machine, and after the last step.
//!
//! The scan of the console for guest failures is separate
//! ([`Machine::fail_fast`](machine::Machine::fail_fast)).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::time::MissedTickBehavior;

use crate::project::Project;
use crate::session::{BOOT, Deadline, FailureKind, Session, StepFailure, StepTimeout, scaled};
use crate::steps;
use base::wait::{Poll, wait_until};
use machine::{Engine, KeyPair, Machine, RANCHEROS};
use scenario::Step;

/// The interval between two checks. A check costs an emulated machine about 0.1 s.
const INTERVAL: Duration = Duration::from_secs(5);
/// The timeout of one invariant on the reference host, including reconnects.
const ANSWER: Duration = Duration::from_secs(40);
/// The timeout of one ping of an engine over one connection.
const PING: Duration = Duration::from_secs(15);

/// The invariants of a trial.
pub(crate) struct Invariants<'a> {
    steps: Vec<&'a Step>,
    /// Whether the machine has a system-docker that can be pinged.
    engine: bool,
    keys: &'a KeyPair,
    snapshots: &'a Path,
    project: &'a Project,
    /// The current machine. A check locks it for reading, a step that interrupts the machine locks it for
    /// writing.
    machine: RwLock<Arc<Machine>>,
    /// The machine is paused, is off, or has no reliable network, so it is not checked.
    unreachable: AtomicBool,
    /// The machine is still booting, so it cannot be checked yet.
    is_booting: bool,
}

impl<'a> Invariants<'a> {
    /// The invariants of a scenario. If the guest reports its boot and accepts the trial's key, system-docker
    /// must answer as well.
    pub(crate) fn new(steps: &'a [Step], ssh_key: bool, session: &Session<'a>) -> Self {
        Self {
            steps: steps.iter().collect(),
            engine: ssh_key && session.machine.reports_boot(),
            keys: session.keys,
            snapshots: session.snapshots,
            project: session.project,
            machine: RwLock::new(Arc::clone(&session.machine)),
            unreachable: AtomicBool::new(false),
            is_booting: false,
        }
    }

    /// Keeps those that name this machine, or none.
    pub(crate) fn of_machine(mut self, name: Option<&str>) -> Self {
        let on = |step: &Step| step.on.is_empty() || step.on.iter().any(|on| Some(&**on) == name);
        self.steps.retain(|step| on(step));
        self
    }

    /// Delays the first check until the end of the boot if the machine is still booting.
    pub(crate) fn once_booted(self, is_booting: bool) -> Self {
        Self { is_booting, ..self }
    }

    /// Checks periodically. Returns only when an invariant does not hold.
    pub(crate) async fn watch(&self) -> StepFailure {
        if self.steps.is_empty() && !self.engine {
            return std::future::pending().await;
        }
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick completes immediately.
        ticks.tick().await;
        let machine = Arc::clone(&*self.machine.read().await);
        if self.is_booting {
            // If the boot does not end, the first check or the step fails.
            let _ = machine.wait_ready(scaled(BOOT)).await;
        }
        let mut session = Session::new(machine, self.keys, self.snapshots, self.project);
        loop {
            ticks.tick().await;
            let machine = self.machine.read().await;
            if self.unreachable.load(Ordering::Relaxed) {
                continue;
            }
            session.switch_to(&machine);
            if let Err(failure) = self.check(&mut session).await {
                return failure;
            }
        }
    }

    /// Runs a step. If the step interrupts the machine, no check overlaps with it. All invariants are checked
    /// after such a step and after the last step.
    pub(crate) async fn during(
        &self,
        step: &Step,
        is_last: bool,
        session: &mut Session<'_>,
        work: impl AsyncFnOnce(&mut Session<'_>) -> Result<(), StepFailure>,
    ) -> Result<(), StepFailure> {
        let interrupts = step.interrupts_guest();
        let machine = if interrupts {
            Some(self.machine.write().await)
        } else {
            None
        };
        work(session).await?;
        if let Some(mut machine) = machine {
            *machine = Arc::clone(&session.machine);
            self.unreachable
                .store(session.is_unreachable(), Ordering::Relaxed);
        }
        if (interrupts || is_last) && !session.is_unreachable() {
            self.check(session).await?;
        }
        Ok(())
    }

    /// Checks each invariant of a machine that the last step does not run on.
    pub(crate) async fn check_last(&self, session: &mut Session<'_>) -> Result<(), StepFailure> {
        if session.is_unreachable() {
            return Ok(());
        }
        self.check(session).await
    }

    /// Checks each invariant once; fails early if the guest fails.
    async fn check(&self, session: &mut Session<'_>) -> Result<(), StepFailure> {
        let machine = Arc::clone(&session.machine);
        let checks = async { Ok(self.check_each(session).await) };
        machine.fail_fast(checks).await?
    }

    async fn check_each(&self, session: &mut Session<'_>) -> Result<(), StepFailure> {
        if self.engine {
            let ping = async |session: &mut Session<'_>| ping_engine(session).await;
            let what = format!("{} is alive", RANCHEROS.system_engine);
            holds(&what, session, ping).await?;
        }
        for step in &self.steps {
            let check = async |session: &mut Session<'_>| {
                let limit = Deadline::within(StepTimeout::unrecorded(step).limit);
                steps::perform(step, session, &limit).await
            };
            holds(&step.title(), session, check).await?;
        }
        Ok(())
    }
}

/// Checks until the machine answers: a reboot or a step may have closed the connection, which
/// is then opened again. An unexpected answer fails immediately.
async fn holds(
    what: &str,
    session: &mut Session<'_>,
    check: impl AsyncFn(&mut Session<'_>) -> Result<(), StepFailure>,
) -> Result<(), StepFailure> {
    let broken = |mut failure: StepFailure| {
        failure.what = format!("an invariant does not hold: {what}\n{}", failure.what);
        failure
    };
    let mut answer = Ok(());
    let checks = wait_until(what, scaled(ANSWER), async || match check(session).await {
        Err(failure) if failure.may_pass_later() => {
            session.forget();
            Poll::NotYet(failure.what)
        }
        other => {
            answer = other;
            Poll::Ready(())
        }
    });
    if let Err(silence) = checks.await {
        return Err(broken(silence.into()));
    }
    answer.map_err(broken)
}

async fn ping_engine(session: &mut Session<'_>) -> Result<(), StepFailure> {
    let limit = Deadline::within(scaled(PING));
    let docker = session.docker(Engine::System, &limit).await?;
    match tokio::time::timeout(limit.left(), docker.ping()).await {
        Ok(answer) => Ok(answer.map(drop)?),
        Err(_) => {
            let what = format!("{} does not answer", RANCHEROS.system_engine);
            Err(StepFailure::of(FailureKind::Wait, what))
        }
    }
}
