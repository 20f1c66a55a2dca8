//! Input and output on the serial console.

use scenario::step::{SerialLogin, SerialStep};

use crate::session::{Deadline, Session, StepFailure, Wanted, judge};

pub(super) async fn perform(
    step: &SerialStep,
    session: &Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let serial = session.machine.serial();
    if let Some(login) = &step.login {
        return log_in(login, session, deadline).await;
    }
    if let Some(run) = &step.run {
        let output = serial.run(run, deadline.left()).await?;
        let wanted = Wanted {
            exit: step.exit.unwrap_or(0).into(),
            stdout: step.stdout.as_ref(),
            stderr: None,
        };
        return judge::command(run, wanted, &output, session.snapshots);
    }
    if let Some(send) = &step.send {
        serial.send_line(send).await?;
    }
    if let Some(pattern) = &step.expect {
        serial.expect(&pattern.0, deadline.left()).await?;
    }
    Ok(())
}

async fn log_in(
    login: &SerialLogin,
    session: &Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let SerialLogin {
        user,
        password,
        refused,
    } = login;
    let accepted = session
        .machine
        .serial()
        .login(user, password, deadline.left())
        .await?;
    match (accepted, *refused) {
        (true, true) => Err(StepFailure::new(format!(
            "the login as {user} was accepted, expected it to be refused"
        ))),
        (false, false) => Err(StepFailure::new(format!("the login as {user} was refused"))),
        _ => Ok(()),
    }
}
