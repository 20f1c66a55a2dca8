//! The run of a trial: the machine, its steps under guard and deadline, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use crate::artifacts::Artifacts;
use events::What;
use host::speed::Scale;
use scenario::Step;

use super::begin::Begun;
use super::deadline::{self, Deadline, Patience};
use super::fault::Fault;
use super::invariants::Invariants;
use super::log::Log;
use super::red_verdict::{Ran, Red};
use super::session::Session;
use super::{Failure, Settings, Trial, collect, outcome, scaled, steps};

impl Trial {
    /// From power-on or fork to the last step.
    pub(super) async fn verdict(
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
    pub(super) async fn first_steps(
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
            outcome::screen(&session.machine, log.evidence).await;
            let wanted = &self.scenario.collect;
            log.notes(&collect::collect(wanted, &mut session, log.evidence).await);
            let machine = &session.machine;
            let fate = self.keep(machine, &begun.keys, settings, log).await;
            let failure = red.conclude(self, machine, log.evidence, fate);
            machine.stop().await;
            return Err(failure);
        }
        // A step may have put another machine in its place.
        let machine = Arc::clone(&session.machine);
        drop(session);
        let mut begun = begun;
        begun.machine = machine;
        Ok(begun)
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
        let wanted = self.scenario.ready.as_ref();
        let (what, ready) = (begun.what(), begun.ready(wanted, session));
        let ready = log.around(0, 1, what, ready, &mut ran).await;
        // What is not over has no ladder yet.
        if !begun.is_fork() && (wanted.is_none() || ready.is_err()) {
            self.tell_boot(artifacts, &begun.machine, ready.is_ok(), log);
        }
        ready.map_err(|fault| Red::boot(fault, &ran))?;
        if !begun.is_fork() {
            for setup in &self.scenario.setups {
                self.set_up(setup, session, log, &mut ran).await?;
            }
        }

        // Still, when the first step begins.
        let boots = wanted.is_some() && !begun.is_fork();
        let first = self.profile.disks.len();
        session.disks = first..first + self.scenario.machine.disks.len();
        let verdict = self.steps(session, boots, count, log, &mut ran).await;
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
        boots: bool,
        count: usize,
        log: &Log<'_>,
        ran: &mut Vec<Ran>,
    ) -> Result<(), Red> {
        let whole = Deadline::within(scaled(self.scenario.timeout));
        let scenario = &self.scenario;
        let key = scenario.machine.ssh_key;
        let invariants = Invariants::new(&scenario.invariants, key, session);
        let invariants = invariants.once_booted(boots);
        let mut broken = std::pin::pin!(invariants.watch());
        for (number, step) in scenario.steps.iter().enumerate().take(count) {
            let what = step.title();
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
pub(super) async fn within(
    step: &Step,
    session: &mut Session<'_>,
    whole: &Deadline,
    patience: Patience,
) -> Result<(), Fault> {
    /// What a wait gets to say what it saw last, before it is cut off.
    const LAST_WORDS: Duration = Duration::from_secs(1);

    if whole.left().is_zero() {
        let limit = whole.limit().div_f64(Scale::of_host().factor());
        let limit = deadline::in_words(limit, Scale::of_host());
        return Err(Fault::new(format!(
            "the scenario's timeout ({limit}) was over before this step"
        )));
    }
    let limit = patience.limit.min(whole.left());
    let deadline = Deadline::within(limit);
    let machine = Arc::clone(&session.machine);
    let work = async { Ok(steps::perform(step, session, &deadline).await) };
    let ended = match tokio::time::timeout(limit + LAST_WORDS, machine.guard(work)).await {
        Ok(Ok(Err(fault))) if fault.is_line => {
            Err(machine.cause().await.map_or(fault, Fault::from))
        }
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
