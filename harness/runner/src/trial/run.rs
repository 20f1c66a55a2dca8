//! Runs a trial: starts the machine, runs the steps under their deadlines, and saves a failure snapshot.

use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::evidence::Evidence;
use crate::invariants::Invariants;
use crate::session::{Deadline, REVERT, Session, StepFailure, scaled};
use events::EventKind;

use super::collect;
use super::definition::Trial;
use super::failure::{Failure, InfrastructureError};
use super::log::Log;
use super::outcome;
use super::report::{FailureReport, FinishedStep};
use super::settings::Settings;
use super::start::StartedMachine;
use super::step::within;
use super::verdict::{close, ended, remove};

impl Trial {
    /// Starts the machine, runs the steps and returns the verdict.
    ///
    /// # Errors
    /// The trial failed, or there is no verdict.
    pub async fn run(&self, artifacts: &Artifacts, settings: &Settings) -> Result<(), Failure> {
        let settings = &settings.seeded();
        let evidence = self.evidence(artifacts, settings)?;
        let log = self.log(settings, &evidence);
        self.announce(&log);
        let verdict = Box::pin(self.verdict(artifacts, settings, &log)).await;
        let closed = close(&evidence, verdict);
        let kept = closed.is_err() || settings.keep;
        // This event is not recorded in the evidence: the folder has `result.json`, and may be removed
        // below. Listeners can still read it.
        settings.listeners.emit(ended(&log, &closed, kept));
        if !kept {
            remove(&log);
        }
        closed
    }

    /// Creates the evidence folder, with everything that a replay needs.
    pub(super) fn evidence(
        &self,
        artifacts: &Artifacts,
        settings: &Settings,
    ) -> Result<Evidence, Failure> {
        let folder = format!("{}-{}", self.profile.name, self.scenario.name);
        let evidence = Evidence::begin(&settings.evidence, &folder).map_err(|source| {
            let parent = settings.evidence.clone();
            InfrastructureError::EvidenceFolder { parent, source }
        })?;
        // A sabotaged trial is run again by `harness prove`, not by a replay.
        if !self.scenario.sabotaged {
            self.record(artifacts, settings, &evidence);
        }
        Ok(evidence)
    }

    /// Runs the whole trial, from the boot or fork to the last step.
    async fn verdict(
        &self,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<(), Failure> {
        let all = self.scenario.steps.len();
        let started = self.first_steps(all, artifacts, settings, log).await?;
        started.machine.stop().await;
        Ok(())
    }

    /// Runs the first `count` steps and returns the machine. If a step fails, a failure snapshot is saved.
    pub(super) async fn first_steps(
        &self,
        count: usize,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<StartedMachine, Failure> {
        let started = self.start_machine(artifacts, settings, log).await?;
        let snapshots = self.snapshots();
        let session = Session::new(
            Arc::clone(&started.machine),
            &started.keys,
            &snapshots,
            &self.project,
        );
        let mut session = session.with_seed(settings.seed);
        // On the heap: what a trial needs to remember is large, and stacks are not.
        let verdict = Box::pin(self.judge(artifacts, &started, &mut session, count, log)).await;
        if let Err(report) = verdict {
            // Before the connections close: the snapshot must show the machine as it was.
            outcome::screen(&session.machine, log.evidence).await;
            let wanted = &self.scenario.collect;
            log.notes(&collect::collect(wanted, &mut session, log.evidence).await);
            let machine = &session.machine;
            let snapshot = self.keep(machine, &started.keys, settings, log).await;
            let failure = report.conclude(self, machine, log.evidence, snapshot);
            machine.stop().await;
            return Err(failure);
        }
        // A step may have replaced the machine.
        let machine = Arc::clone(&session.machine);
        drop(session);
        let mut started = started;
        started.machine = machine;
        Ok(started)
    }

    /// Waits until the machine is ready, then runs the first `count` steps.
    async fn judge(
        &self,
        artifacts: &Artifacts,
        started: &StartedMachine,
        session: &mut Session<'_>,
        count: usize,
        log: &Log<'_>,
    ) -> Result<(), FailureReport> {
        let mut ran = Vec::new();
        let wanted = self.scenario.ready.as_ref();
        let (title, ready) = (started.start_title(), started.ready(wanted, session));
        let ready = log.step(0, 1, title, ready, &mut ran).await;
        // A boot that continues has no complete timeline yet.
        if !started.is_fork() && (wanted.is_none() || ready.is_err()) {
            self.emit_timeline(artifacts, &started.machine, ready.is_ok(), log);
        }
        ready.map_err(|failure| FailureReport::boot(failure, &ran))?;
        if !started.is_fork() {
            for setup in &self.scenario.setups {
                self.set_up(setup, session, log, &mut ran).await?;
            }
        }

        // Whether the machine is still booting when the first step begins.
        let is_booting = wanted.is_some() && !started.is_fork();
        let first = self.profile.disks.len();
        session.disks = first..first + self.scenario.machine.disks.len();
        let verdict = self.steps(session, is_booting, count, log, &mut ran).await;
        if verdict.is_err() || count < self.scenario.steps.len() {
            // The snapshot must include the faults, or a user continues with them.
            return verdict;
        }
        let limit = Deadline::within(scaled(REVERT));
        if let Some(text) = session.revert_all(&limit).await {
            let trial = Some(log.trial.clone());
            log.emit(EventKind::Note { trial, text });
        }
        verdict
    }

    async fn steps(
        &self,
        session: &mut Session<'_>,
        is_booting: bool,
        count: usize,
        log: &Log<'_>,
        ran: &mut Vec<FinishedStep>,
    ) -> Result<(), FailureReport> {
        let whole = Deadline::within(scaled(self.scenario.timeout));
        let scenario = &self.scenario;
        let key = scenario.machine.ssh_key;
        let invariants = Invariants::new(&scenario.invariants, key, session);
        let invariants = invariants.once_booted(is_booting);
        let mut violation = std::pin::pin!(invariants.watch());
        for (number, step) in scenario.steps.iter().enumerate().take(count) {
            let title = step.title();
            let timeout = log.timeout(number + 1, step, ran);
            let is_last = number + 1 == scenario.steps.len();
            let noted_before = session.notes().len();
            let step_alone =
                async |session: &mut Session<'_>| within(step, session, &whole, timeout).await;
            let work = invariants.during(step, is_last, session, step_alone);
            let work = async {
                tokio::select! {
                    verdict = work => verdict,
                    failure = &mut violation => Err(failure),
                }
            };
            let verdict = log.step(number + 1, step.line, &title, work, ran).await;
            log.notes(&session.notes()[noted_before..]);
            verdict.map_err(|failure| FailureReport::step(noted(failure, session), number, ran))?;
        }
        Ok(())
    }
}

/// Adds the notes of the session to a failure.
fn noted(failure: StepFailure, session: &Session<'_>) -> StepFailure {
    let notes = session.notes().iter();
    notes.fold(failure, |failure, note| failure.with("note", note.as_str()))
}
