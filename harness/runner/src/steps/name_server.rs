//! Starts a name server for the machine.

use machine::services::NameServer;
use scenario::step::NameServerStep;

use crate::session::{Deadline, Session, StepFailure};

pub(super) async fn perform(
    step: &NameServerStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let names = step.names.iter();
    let names = names.map(|(name, address)| (name.to_lowercase(), *address));
    let server = NameServer::start(names.collect())
        .await
        .map_err(|error| StepFailure::new(format!("cannot start the name server: {error}")))?;
    session.machine.open_port(server.port());
    let address = format!("{}:{}", session.machine.host_address(), server.port());
    session.name_server = Some(server);
    let ssh = session.ssh(deadline).await?;
    Ok(ssh.upload(address.as_bytes(), &step.tell, 0o644).await?)
}
