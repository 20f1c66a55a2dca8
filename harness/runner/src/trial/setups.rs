//! Setups: what machines run before the first step.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::session::{Deadline, Session, StepTimeout, scaled};
use scenario::{Setup, Step};

use super::definition::Trial;
use super::log::Log;
use super::machines::Machines;
use super::report::{FailureReport, FinishedStep};
use super::run_step::within;
use super::run_steps::named;

/// The timeout for all steps of a setup, on the reference host.
pub(super) const SETUP: Duration = Duration::from_secs(600);

impl Trial {
    /// Runs a setup in the machines that were forked for it.
    pub(super) async fn run_setup(
        &self,
        machines: &Machines,
        sessions: &mut [Session<'_>],
        setup: &Arc<Setup>,
        log: &Log<'_>,
    ) -> Result<(), FailureReport> {
        let mut ran = Vec::new();
        let title = format!("fork, for the setup {}", setup.name);
        let on = Cell::new(0);
        let ready = async {
            let ready = machines.ready(None, sessions).await;
            ready.map_err(|failed| named(failed, machines, &on))
        };
        log.step(0, 1, &title, ready, &mut ran)
            .await
            .map_err(|failure| FailureReport::boot(failure, &ran).on(on.get()))?;
        self.set_up(setup, machines, sessions, log, &mut ran).await
    }

    /// Runs the steps of a setup, each on the machines that it names, or on all if the setup names none.
    pub(super) async fn set_up(
        &self,
        setup: &Arc<Setup>,
        machines: &Machines,
        sessions: &mut [Session<'_>],
        log: &Log<'_>,
        ran: &mut Vec<FinishedStep>,
    ) -> Result<(), FailureReport> {
        let whole = Deadline::within(scaled(SETUP));
        let takes_part = |step: &Step, index: usize| {
            setup.cluster.is_empty() || machines.takes_part(step, index)
        };
        for (number, step) in setup.steps.iter().enumerate() {
            let title = format!("setup {}: {}", setup.name, step.heading());
            let on = Cell::new(0);
            let work = async {
                let on_each = sessions.iter_mut().enumerate();
                let on_each = on_each.filter(|(index, _)| takes_part(step, *index));
                let on_each = on_each.map(|(index, session)| {
                    let done = within(step, session, &whole, StepTimeout::unrecorded(step));
                    async move { done.await.map_err(|failure| (index, failure)) }
                });
                let done = try_join_all(on_each).await.map(drop);
                done.map_err(|failed| named(failed, machines, &on))
            };
            log.step(0, step.line, &title, work, ran)
                .await
                .map_err(|failure| {
                    FailureReport::setup(failure, setup, number, ran).on(on.get())
                })?;
        }
        Ok(())
    }
}
