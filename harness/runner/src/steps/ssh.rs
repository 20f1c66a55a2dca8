//! Commands, uploads and logins over SSH.

use machine::{KeyPair, Login, MachineError, Ssh};
use scenario::step::{KeyName, SshStep, Upload};

use crate::session::{Deadline, Session, StepFailure, Wanted, for_account, judge};

pub(super) async fn perform(
    step: &SshStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let ssh = match login(step, session) {
        None => session.ssh(deadline).await?,
        Some(login) if step.expect_refused => return refused(&login, session, deadline).await,
        Some(login) => session.machine.ssh(&login, deadline.left()).await?,
    };
    if let Some(upload) = &step.upload {
        let folder = session.snapshots.parent().unwrap_or(session.snapshots);
        let content = upload.bytes(folder).map_err(StepFailure::new)?;
        return self::upload(&content, upload, step, &ssh, deadline).await;
    }
    run(step, &ssh, session, deadline).await
}

/// The login that a step asks for; `None` for the trial's own connection.
fn login(step: &SshStep, session: &Session<'_>) -> Option<Login> {
    let user = step
        .user
        .clone()
        .unwrap_or_else(|| machine::RANCHEROS.user.into());
    if let Some(password) = step.password.clone() {
        return Some(Login::Password { user, password });
    }
    let private_key = match step.key? {
        KeyName::Harness => session.keys.private.clone(),
        KeyName::Stranger => KeyPair::generate().private,
    };
    Some(Login::Key { user, private_key })
}

async fn refused(
    login: &Login,
    session: &Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    match session.machine.ssh(login, deadline.left()).await {
        Err(MachineError::Refused { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(StepFailure::new(
            "the login was accepted, expected it to be refused",
        )),
    }
}

async fn run(
    step: &SshStep,
    ssh: &Ssh,
    session: &Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let Some(command) = &step.run else {
        return Ok(());
    };
    let output = ssh
        .run(&for_account(command, step.account), deadline.left())
        .await?;
    let wanted = Wanted {
        exit: step.exit.unwrap_or(0).into(),
        stdout: step.stdout.as_ref(),
        stderr: step.stderr.as_ref(),
    };
    judge::command(command, wanted, &output, session.snapshots)
}

/// Uploads a file. A file of root is uploaded to `/tmp` and then moved.
async fn upload(
    content: &[u8],
    upload: &Upload,
    step: &SshStep,
    ssh: &Ssh,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let mode = if upload.executable { 0o755 } else { 0o644 };
    if step.account == scenario::Account::Login {
        return Ok(ssh.upload(content, &upload.to, mode).await?);
    }
    let temporary = "/tmp/.harness-upload";
    ssh.upload(content, temporary, mode).await?;
    let command = format!("mv {temporary} \"{0}\" && chown 0:0 \"{0}\"", upload.to);
    let output = ssh
        .run(&for_account(&command, step.account), deadline.left())
        .await?;
    let no_snapshots = std::path::Path::new("");
    judge::command(&command, Wanted::default(), &output, no_snapshots)
}
