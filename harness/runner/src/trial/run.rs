//! Runs a trial: starts the machine, runs the steps under their deadlines, and saves a failure snapshot.

use std::cell::Cell;

use futures_util::future::join_all;

use crate::artifacts::Artifacts;
use crate::evidence::Evidence;
use crate::session::{Deadline, REVERT, Session, scaled};
use events::EventKind;
use scenario::step::Undone;

use super::definition::Trial;
use super::failure::{Failure, InfrastructureError};
use super::log::Log;
use super::machines::Machines;
use super::report::FailureReport;
use super::run_steps::{Steps, named};
use super::settings::Settings;
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
        let machines = self.first_steps(all, artifacts, settings, log).await?;
        if settings.keep {
            machines.write_captures(log);
        }
        machines.stop().await;
        Ok(())
    }

    /// Runs the first `count` steps and returns the machines. If a step fails, a failure snapshot is saved.
    pub(super) async fn first_steps(
        &self,
        count: usize,
        artifacts: &Artifacts,
        settings: &Settings,
        log: &Log<'_>,
    ) -> Result<Machines, Failure> {
        let mut machines = self.start_machines(artifacts, settings, log).await?;
        let snapshots = self.snapshots();
        let mut sessions = machines.sessions(self, &snapshots, settings.seed);
        // On the heap: what a trial needs to remember is large, and stacks are not.
        let verdict = Box::pin(self.judge(artifacts, &machines, &mut sessions, count, log)).await;
        if let Err(report) = verdict {
            machines.record_failure(self, &mut sessions, log).await;
            let snapshot = machines.keep(self, &sessions, settings, log).await;
            let machine = &sessions[report.machine()].machine;
            let failure = report.conclude(self, machine, log.evidence, snapshot);
            join_all(sessions.iter().map(|session| session.machine.stop())).await;
            return Err(failure);
        }
        // A step may have replaced a machine.
        let current: Vec<_> = sessions.drain(..).map(|session| session.machine).collect();
        drop(sessions);
        for (started, machine) in machines.all.iter_mut().zip(current) {
            started.machine = machine;
        }
        Ok(machines)
    }

    /// Waits until the machines are ready, then runs the first `count` steps.
    async fn judge(
        &self,
        artifacts: &Artifacts,
        machines: &Machines,
        sessions: &mut [Session<'_>],
        count: usize,
        log: &Log<'_>,
    ) -> Result<(), FailureReport> {
        let mut ran = Vec::new();
        let (wanted, forks) = (self.scenario.ready.as_ref(), machines.are_forks());
        let title = machines.all[0].start_title();
        let on = Cell::new(0);
        let ready = async {
            let ready = machines.ready(wanted, sessions).await;
            ready.map_err(|failed| named(failed, machines, &on))
        };
        let ready = log.step(0, 1, title, ready, &mut ran).await;
        // A boot that continues has no complete timeline yet.
        if !forks && (wanted.is_none() || ready.is_err()) {
            for one in &machines.all {
                let name = one.name.as_deref();
                self.emit_timeline(artifacts, &one.machine, name, ready.is_ok(), log);
            }
        }
        ready.map_err(|failure| FailureReport::boot(failure, &ran).on(on.get()))?;
        if !forks {
            for setup in &self.scenario.setups {
                self.set_up(setup, machines, sessions, log, &mut ran)
                    .await?;
            }
        }

        // Whether the machines are still booting when the first step begins.
        let is_booting = wanted.is_some() && !forks;
        let first = self.profile.disks.len();
        for session in &mut *sessions {
            session.disks = first..first + self.scenario.machine.disks.len();
        }
        let steps = Steps {
            trial: self,
            machines,
            log,
            count,
        };
        let verdict = steps.run(sessions, is_booting, &mut ran).await;
        if verdict.is_err() || count < self.scenario.steps.len() {
            // The snapshot must include the faults, or a user continues with them.
            return verdict;
        }
        machines.networks.revert(Undone::All);
        let limit = Deadline::within(scaled(REVERT));
        for session in sessions {
            if let Some(text) = session.revert_all(&limit).await {
                let trial = Some(log.trial.clone());
                log.emit(EventKind::Note { trial, text });
            }
        }
        verdict
    }
}
