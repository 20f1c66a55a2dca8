//! The steps of a trial: each on the machines that it names, while invariants are checked on all.

use std::cell::Cell;

use futures_util::future::{select_all, try_join_all};

use crate::invariants::Invariants;
use crate::session::{Deadline, Session, StepFailure, scaled};

use super::definition::Trial;
use super::log::Log;
use super::machines::{Failed, Machines};
use super::report::{FailureReport, FinishedStep};
use super::run_step::within;

/// The steps of a trial that is ready.
pub(super) struct Steps<'a> {
    pub(super) trial: &'a Trial,
    pub(super) machines: &'a Machines,
    pub(super) log: &'a Log<'a>,
    /// How many of the steps run.
    pub(super) count: usize,
}

impl Steps<'_> {
    /// Runs the steps, one after the other.
    pub(super) async fn run(
        &self,
        sessions: &mut [Session<'_>],
        is_booting: bool,
        ran: &mut Vec<FinishedStep>,
    ) -> Result<(), FailureReport> {
        let (trial, log) = (self.trial, self.log);
        let scenario = &trial.scenario;
        let whole = Deadline::within(scaled(scenario.timeout));
        let key = scenario.machine.ssh_key;
        let mut invariants = Vec::new();
        for (machine, session) in self.machines.all.iter().zip(&*sessions) {
            let one = Invariants::new(&scenario.invariants, key, session);
            let one = one.of_machine(machine.name.as_deref());
            invariants.push(one.once_booted(is_booting));
        }
        let watches = invariants.iter().enumerate();
        let watches =
            watches.map(|(index, one)| Box::pin(async move { (index, one.watch().await) }));
        let mut violation = select_all(watches);
        for (number, step) in scenario.steps.iter().enumerate().take(self.count) {
            let timeout = log.timeout(number + 1, step, ran);
            let is_last = number + 1 == scenario.steps.len();
            let noted: Vec<_> = sessions.iter().map(|one| one.notes().len()).collect();
            let step_alone =
                async |session: &mut Session<'_>| within(step, session, &whole, timeout).await;
            let on = Cell::new(0);
            let work = async {
                let all = sessions.iter_mut().zip(&invariants).enumerate();
                let all = all.map(|(index, (session, invariants))| {
                    let takes_part = self.machines.takes_part(step, index);
                    let step_alone = &step_alone;
                    async move {
                        let done = if takes_part {
                            invariants.during(step, is_last, session, step_alone).await
                        } else if is_last {
                            invariants.check_last(session).await
                        } else {
                            Ok(())
                        };
                        done.map_err(|failure| (index, failure))
                    }
                });
                let failed = tokio::select! {
                    done = try_join_all(all) => match done {
                        Ok(_) => return Ok(()),
                        Err(failed) => failed,
                    },
                    (failed, ..) = &mut violation => failed,
                };
                Err(named(failed, self.machines, &on))
            };
            let verdict = log
                .step(number + 1, step.line, &step.heading(), work, ran)
                .await;
            for (session, before) in sessions.iter().zip(noted) {
                log.notes(&session.notes()[before..]);
            }
            verdict.map_err(|failure| {
                let failure = with_notes(failure, &sessions[on.get()]);
                FailureReport::step(failure, number, ran).on(on.get())
            })?;
        }
        Ok(())
    }
}

/// Names the machine of a failure if there are several, and records its index.
pub(super) fn named(failed: Failed, machines: &Machines, on: &Cell<usize>) -> StepFailure {
    let (index, mut failure) = failed;
    on.set(index);
    if let Some(name) = &machines.all[index].name {
        failure.what = format!("machine {name}: {}", failure.what);
        failure.machine = Some(name.clone());
    }
    failure
}

/// Adds the notes of the session to a failure.
fn with_notes(failure: StepFailure, session: &Session<'_>) -> StepFailure {
    let notes = session.notes().iter();
    notes.fold(failure, |failure, note| failure.with("note", note.as_str()))
}
