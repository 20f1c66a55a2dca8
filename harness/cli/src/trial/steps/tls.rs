//! An engine asked as from another computer, with certificates that the machine has made.

use bollard::Docker;

use base::wait::{Poll, wait_until};
use machine::{Certificates, MachineError};
use scenario::DockerTls;

use super::super::deadline::Deadline;
use super::super::fault::Fault;
use super::super::session::Session;

/// A client to the engine.
pub(super) async fn connect(
    tls: &DockerTls,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<Docker, Fault> {
    let certificates = certificates(tls, session, deadline).await?;
    Ok(session
        .machine
        .docker_over_tls(tls.port, &certificates)
        .await?)
}

/// The two must not agree. That nobody listens, or that a line broke, is no refusal: it is tried
/// again until one of them says why.
pub(super) async fn refused(
    tls: &DockerTls,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), Fault> {
    let certificates = certificates(tls, session, deadline).await?;
    let machine = &session.machine;
    let look = async || match machine.docker_over_tls(tls.port, &certificates).await {
        Err(MachineError::TlsRefused(_)) => Poll::Ready(()),
        Err(error) => Poll::NotYet(error.to_string()),
        Ok(_) => Poll::Failed("the engine answered".into()),
    };
    let refused = wait_until("a refusal over TLS", deadline.left(), look).await;
    refused.map_err(|error| MachineError::from(error).into())
}

/// Root reads them: a key is its owner's.
async fn certificates(
    tls: &DockerTls,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<Certificates, Fault> {
    let folder = &tls.certificates;
    let read = |name| format!("cat \"{folder}/{name}.pem\"");
    Ok(Certificates {
        ca: session.as_root(&read("ca"), deadline).await?,
        cert: session.as_root(&read("cert"), deadline).await?,
        key: session.as_root(&read("key"), deadline).await?,
    })
}
