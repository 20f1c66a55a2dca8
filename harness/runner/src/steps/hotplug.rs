//! Hot-plugs devices into the running machine.

use scenario::step::{HotplugStep, Plugged};

use crate::session::{Session, StepFailure};
use crate::spec;

pub(super) async fn perform(step: &HotplugStep, session: &Session<'_>) -> Result<(), StepFailure> {
    match step.plugged() {
        Some(Plugged::Disk(disk)) => session.machine.plug_disk(&spec::blank(disk)).await?,
        Some(Plugged::Network(network)) => session.machine.plug_card(&network.to_string()).await?,
        None => (),
    }
    Ok(())
}
