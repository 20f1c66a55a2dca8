//! Connects to an engine over TLS with certificates that the machine has created.

use bollard::Docker;

use base::wait::{Poll, wait_until};
use machine::{Certificates, MachineError};
use scenario::step::DockerTls;

use crate::session::{Deadline, Session, StepFailure};

/// A client of the engine.
pub(super) async fn connect(
    tls: &DockerTls,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<Docker, StepFailure> {
    let certificates = certificates(tls, session, deadline).await?;
    Ok(session
        .machine
        .docker_over_tls(tls.port, &certificates)
        .await?)
}

/// Expects the TLS handshake to be refused. A closed port or a broken connection is not a refusal, so the
/// connection is retried until the deadline.
pub(super) async fn refused(
    tls: &DockerTls,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let certificates = certificates(tls, session, deadline).await?;
    let machine = &session.machine;
    let attempt = async || match machine.docker_over_tls(tls.port, &certificates).await {
        Err(MachineError::TlsRefused(_)) => Poll::Ready(()),
        Err(error) => Poll::NotYet(error.to_string()),
        Ok(_) => Poll::Failed("the engine answered".into()),
    };
    Ok(wait_until("a refusal over TLS", deadline.left(), attempt).await?)
}

/// Reads the certificates as root, because only root can read the key.
async fn certificates(
    tls: &DockerTls,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<Certificates, StepFailure> {
    let folder = &tls.certificates;
    let read = |name| format!("cat \"{folder}/{name}.pem\"");
    Ok(Certificates {
        ca: session.as_root(&read("ca"), deadline).await?,
        cert: session.as_root(&read("cert"), deadline).await?,
        key: session.as_root(&read("key"), deadline).await?,
    })
}
