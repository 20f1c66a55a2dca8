//! Commands on the client beside the machine.

use crate::client::{self, Client};
use scenario::step::ClientStep;

use crate::session::{Deadline, Session, StepFailure, Wanted, judge};

pub(super) async fn perform(
    step: &ClientStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    ensure_client(session, deadline).await?;
    let machine = &session.machine;
    let mut ports = Vec::new();
    for port in &step.ports {
        ports.push((*port, machine.forwarded(*port).await?));
    }
    let Some(client) = &session.client else {
        return Ok(());
    };
    let doors = client.open(machine.ssh_port(), &ports).map_err(failed)?;
    for (path, content) in &step.files {
        client.put(path, content, deadline.left()).await?;
    }
    let output = client.run(&step.run, &doors, deadline.left()).await?;
    let wanted = Wanted {
        exit: step.exit.unwrap_or(0).into(),
        stdout: step.stdout.as_ref(),
        stderr: step.stderr.as_ref(),
    };
    judge::command(&step.run, wanted, &output, session.snapshots)
}

/// Creates the client on first use. It trusts the host key that the machine has then.
async fn ensure_client(session: &mut Session<'_>, deadline: &Deadline) -> Result<(), StepFailure> {
    if session.client.is_some() {
        return Ok(());
    }
    // The login records the host key of the machine.
    session.ssh(deadline).await?;
    let host_key = session.machine.host_key().unwrap_or_default();
    let computer = client::computer(session.project)?;
    let client = Client::new(computer, session.keys, &host_key).map_err(failed)?;
    session.client = Some(client);
    Ok(())
}

fn failed(error: std::io::Error) -> StepFailure {
    StepFailure::new(format!("cannot set up the client: {error}"))
}
