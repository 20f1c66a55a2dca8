//! A disk that comes while the machine runs.

use crate::scenario::HotplugStep;

use super::super::fault::Fault;
use super::super::session::Session;

pub(super) async fn perform(step: &HotplugStep, session: &Session<'_>) -> Result<(), Fault> {
    Ok(session.machine.plug_disk(&step.disk.blank()).await?)
}
