//! What comes while the machine runs.

use scenario::{HotplugStep, Plugged};

use super::super::fault::Fault;
use super::super::session::Session;
use super::super::spec;

pub(super) async fn perform(step: &HotplugStep, session: &Session<'_>) -> Result<(), Fault> {
    match step.plugged() {
        Some(Plugged::Disk(disk)) => session.machine.plug_disk(&spec::blank(disk)).await?,
        Some(Plugged::Network(network)) => session.machine.plug_card(&network.to_string()).await?,
        None => (),
    }
    Ok(())
}
