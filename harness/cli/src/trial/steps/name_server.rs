//! Somebody who knows names.

use machine::services::NameServer;
use scenario::NameServerStep;

use super::super::deadline::Deadline;
use super::super::fault::Fault;
use super::super::session::Session;

pub(super) async fn perform(
    step: &NameServerStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let names = step.names.iter();
    let names = names.map(|(name, address)| (name.to_lowercase(), *address));
    let server = NameServer::start(names.collect())
        .await
        .map_err(|error| Fault::new(format!("no name server: {error}")))?;
    session.machine.open_port(server.port());
    let address = format!("{}:{}", session.machine.host_address(), server.port());
    session.name_server = Some(server);
    let ssh = session.ssh(deadline).await?;
    Ok(ssh.upload(address.as_bytes(), &step.tell, 0o644).await?)
}
