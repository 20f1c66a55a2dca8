//! The steps, one file for each kind.

mod client;
mod container;
mod docker;
mod events;
mod fault;
mod hotplug;
mod import;
mod name_server;
mod power_cut;
mod reboot;
mod serial;
mod ssh;
mod time_server;
mod tls;
pub(crate) mod wait;

use scenario::{Action, Step};

use crate::session::{Deadline, Session, StepFailure};

/// Runs a step and judges it.
///
/// # Errors
/// Why the step failed.
pub(crate) async fn perform(
    step: &Step,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    match &step.action {
        Action::Ssh(step) => ssh::perform(step, session, deadline).await,
        Action::Serial(step) => serial::perform(step, session, deadline).await,
        Action::Docker(step) => docker::perform(step, session, deadline).await,
        Action::Reboot(step) => reboot::perform(step, session, deadline).await,
        Action::PowerCut(step) => power_cut::perform(step, session, deadline).await,
        Action::WaitFor(step) => wait::perform(step, session, deadline).await,
        Action::Events(step) => events::judge(step, &session.machine.boot_events()),
        Action::Hotplug(step) => hotplug::perform(step, session).await,
        Action::TimeServer(step) => time_server::perform(step, session, deadline).await,
        Action::Client(step) => Box::pin(client::perform(step, session, deadline)).await,
        Action::NameServer(step) => name_server::perform(step, session, deadline).await,
        Action::Fault(step) => fault::perform(step, session, deadline).await,
    }
}
