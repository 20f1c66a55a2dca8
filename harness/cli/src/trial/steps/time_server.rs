//! Somebody who knows what time it is.

use machine::services::TimeServer;
use scenario::TimeServerStep;

use super::super::deadline::Deadline;
use super::super::fault::Fault;
use super::super::session::Session;

pub(super) async fn perform(
    step: &TimeServerStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let server = TimeServer::start()
        .await
        .map_err(|error| Fault::new(format!("no time server: {error}")))?;
    session.machine.open_port(server.port());
    let address = format!("{}:{}", session.machine.host_address(), server.port());
    session.time_server = Some(server);
    let ssh = session.ssh(deadline).await?;
    Ok(ssh.upload(address.as_bytes(), &step.tell, 0o644).await?)
}
