//! The steps, one file for each kind.

mod capture;
mod client;
mod clock;
mod crash;
mod disk;
mod docker;
mod events;
mod hotplug;
mod kill;
mod link;
mod memory;
mod name_server;
mod network;
mod partition;
mod pause;
mod power_button;
mod power_cut;
mod power_off;
mod reboot;
mod reset;
mod resume;
mod serial;
mod ssh;
mod time_server;
mod undo;
pub(crate) mod wait_for;

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
        Action::Reset(step) => reset::perform(step, session, deadline).await,
        Action::WaitFor(step) => wait_for::perform(step, session, deadline).await,
        Action::Events(step) => events::perform(step, session),
        Action::Hotplug(step) => hotplug::perform(step, session).await,
        Action::TimeServer(step) => time_server::perform(step, session, deadline).await,
        Action::Client(step) => Box::pin(client::perform(step, session, deadline)).await,
        Action::NameServer(step) => name_server::perform(step, session, deadline).await,
        Action::Crash(step) => crash::perform(step, session, deadline).await,
        Action::Kill(step) => kill::perform(step, session, deadline).await,
        Action::Pause(step) => pause::perform(step, session, deadline).await,
        Action::Resume(step) => resume::perform(step, session, deadline).await,
        Action::Network(step) => network::perform(step, session, deadline).await,
        Action::Disk(step) => disk::perform(step, session, deadline).await,
        Action::Clock(step) => clock::perform(step, session, deadline).await,
        Action::Memory(step) => memory::perform(step, session, deadline).await,
        Action::PowerButton(step) => power_button::perform(step, session, deadline).await,
        Action::PowerOff(step) => power_off::perform(step, session, deadline).await,
        Action::Partition(step) => partition::perform(step, session).await,
        Action::Link(step) => link::perform(step, session).await,
        Action::Capture(step) => capture::perform(step, session, deadline).await,
        Action::Undo(target) => undo::perform(*target, step.on.is_empty(), session, deadline).await,
    }
}
