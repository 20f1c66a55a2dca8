//! Starts a time server for the machine.

use machine::services::TimeServer;
use scenario::step::TimeServerStep;

use crate::session::{Deadline, Session, StepFailure};

pub(super) async fn perform(
    step: &TimeServerStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let server = TimeServer::start()
        .await
        .map_err(|error| StepFailure::new(format!("cannot start the time server: {error}")))?;
    session.machine.open_port(server.port());
    let address = format!("{}:{}", session.machine.host_address(), server.port());
    session.time_server = Some(server);
    let ssh = session.ssh(deadline).await?;
    Ok(ssh.upload(address.as_bytes(), &step.tell, 0o644).await?)
}
