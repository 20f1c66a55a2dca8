//! Setups: what a machine runs before the first step.

use std::sync::Arc;
use std::time::Duration;

use crate::session::{Deadline, Session, StepTimeout, scaled};
use scenario::Setup;

use super::definition::Trial;
use super::log::Log;
use super::report::{FailureReport, FinishedStep};
use super::run_step::within;
use super::start::StartedMachine;

/// The timeout for all steps of a setup, on the reference host.
pub(super) const SETUP: Duration = Duration::from_secs(600);

impl Trial {
    /// Runs a setup in a machine that was forked for it.
    pub(super) async fn run_setup(
        &self,
        started: &StartedMachine,
        setup: &Arc<Setup>,
        log: &Log<'_>,
    ) -> Result<(), FailureReport> {
        let mut ran = Vec::new();
        let snapshots = self.snapshots();
        let mut session = Session::new(
            Arc::clone(&started.machine),
            &started.keys,
            &snapshots,
            &self.project,
        );
        let title = format!("fork, for the setup {}", setup.name);
        log.step(0, 1, &title, started.ready(None, &mut session), &mut ran)
            .await
            .map_err(|failure| FailureReport::boot(failure, &ran))?;
        self.set_up(setup, &mut session, log, &mut ran).await
    }

    /// Runs the steps of a setup.
    pub(super) async fn set_up(
        &self,
        setup: &Arc<Setup>,
        session: &mut Session<'_>,
        log: &Log<'_>,
        ran: &mut Vec<FinishedStep>,
    ) -> Result<(), FailureReport> {
        let whole = Deadline::within(scaled(SETUP));
        for (number, step) in setup.steps.iter().enumerate() {
            let title = format!("setup {}: {}", setup.name, step.title());
            let work = within(step, session, &whole, StepTimeout::unrecorded(step));
            log.step(0, step.line, &title, work, ran)
                .await
                .map_err(|failure| FailureReport::setup(failure, setup, number, ran))?;
        }
        Ok(())
    }
}
