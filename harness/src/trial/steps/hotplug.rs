//! A disk that comes while the machine runs.

use crate::scenario::HotplugStep;

use super::super::fault::Fault;
use super::super::session::Session;

pub(super) async fn perform(step: &HotplugStep, session: &Session<'_>) -> Result<(), Fault> {
    let (mib, label) = (step.disk.size, step.disk.label.as_deref());
    Ok(session.machine.plug_disk(mib, label).await?)
}
