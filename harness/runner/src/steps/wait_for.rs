//! Waits until a condition holds.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use base::text::printable;
use base::wait::{Poll, wait_until};
use scenario::Account;
use scenario::step::{WaitAction, WaitContainer, WaitForStep, WaitSsh};

use super::docker;
use crate::session::{Deadline, Session, StepFailure, Wanted, judge};
use crate::spec;

pub(crate) async fn perform(
    step: &WaitForStep,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let machine = std::sync::Arc::clone(&session.machine);
    match step.action() {
        Some(WaitAction::Ssh(wait)) => {
            let what = format!("the expected result of `{}`", wait.run.trim());
            let look = async |session: &mut Session<'_>| look(wait, session, deadline).await;
            until(&what, step, look, session, deadline).await
        }
        Some(WaitAction::Serial(pattern)) => {
            machine.serial().expect(&pattern.0, deadline.left()).await?;
            Ok(())
        }
        Some(WaitAction::Event(stage)) => {
            machine.wait_event(stage, deadline.left()).await?;
            Ok(())
        }
        Some(WaitAction::Container(wait)) => {
            let what = format!("the container {} running", wait.name);
            let look = async |session: &mut Session<'_>| container(wait, session, deadline).await;
            until(&what, step, look, session, deadline).await
        }
        Some(WaitAction::Silence(span)) => silence(machine.ssh_port(), span.0).await,
        None => Ok(()),
    }
}

/// Polls until the condition holds, or until the command of `until_failed` reports that it never will.
async fn until(
    what: &str,
    step: &WaitForStep,
    look: impl AsyncFn(&mut Session<'_>) -> Poll<()>,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<(), StepFailure> {
    let held = wait_until(what, deadline.left(), async || {
        match (look(session).await, &step.until_failed) {
            (Poll::NotYet(seen), Some(command)) => match failed(command, session, deadline).await {
                Some(printed) => Poll::Failed(format!(
                    "`{}` succeeded and printed: {printed}; last seen: {seen}",
                    command.trim()
                )),
                None => Poll::NotYet(seen),
            },
            (seen, _) => seen,
        }
    });
    Ok(held.await?)
}

/// The output of the `until_failed` command if it succeeds, which means that waiting is pointless.
async fn failed(command: &str, session: &mut Session<'_>, deadline: &Deadline) -> Option<String> {
    let output = session.run(command, Account::Root, deadline).await.ok()?;
    let printed = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (output.exit == Some(0)).then(|| printable(printed.concat().trim()))
}

async fn look(wait: &WaitSsh, session: &mut Session<'_>, deadline: &Deadline) -> Poll<()> {
    let output = match session.run(&wait.run, wait.account, deadline).await {
        Ok(output) => output,
        Err(failure) => {
            // The connection may be broken: the next poll opens a new one.
            session.forget();
            return Poll::NotYet(failure.what);
        }
    };
    let exit = wait.exit.unwrap_or(0).into();
    let wanted = Wanted {
        exit,
        stdout: wait.stdout.as_ref(),
        stderr: None,
    };
    match judge::output(wanted, &output, session.snapshots) {
        Ok(()) => Poll::Ready(()),
        Err(failure) => {
            let printed = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
            Poll::NotYet(format!(
                "{}; output: {}",
                failure.what,
                printable(printed.concat().trim())
            ))
        }
    }
}

async fn container(
    wait: &WaitContainer,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Poll<()> {
    match running(wait, session, deadline).await {
        Ok(names) if names.contains(&wait.name) => Poll::Ready(()),
        Ok(names) => Poll::NotYet(format!("running containers: {}", names.join(", "))),
        Err(failure) => {
            session.forget();
            Poll::NotYet(failure.what)
        }
    }
}

async fn running(
    wait: &WaitContainer,
    session: &mut Session<'_>,
    deadline: &Deadline,
) -> Result<Vec<String>, StepFailure> {
    let engine = session.docker(spec::engine(wait.engine), deadline).await?;
    docker::names(&engine, false, deadline).await
}

/// Expects no SSH greeting on the port. QEMU itself accepts the connections, but only the machine sends a
/// greeting or closes a connection.
async fn silence(port: u16, span: Duration) -> Result<(), StepFailure> {
    let mut first = [0; 64];
    let greeting = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.read(&mut first).await
    };
    let answer = match tokio::time::timeout(span, greeting).await {
        Err(_) => return Ok(()),
        Ok(Ok(0)) => "the connection was closed".into(),
        Ok(Ok(length)) => printable(String::from_utf8_lossy(&first[..length]).trim()),
        Ok(Err(error)) => error.to_string(),
    };
    Err(StepFailure::new(format!("the machine answered: {answer}")))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn silence_fails_on_a_greeting_or_a_closed_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Connections wait in the backlog; nothing accepts them.
        silence(port, Duration::from_millis(100)).await.unwrap();
        let server = std::thread::spawn(move || {
            drop(listener.accept().unwrap());
            let (mut line, _) = listener.accept().unwrap();
            line.write_all(b"SSH-2.0-kettle\r\n").unwrap();
            drop(line);
            drop(listener.accept().unwrap());
        });
        let long = Duration::from_secs(60);
        let failure = silence(port, long).await.unwrap_err();
        assert_eq!(failure.what, "the machine answered: SSH-2.0-kettle");
        let failure = silence(port, long).await.unwrap_err();
        assert!(
            failure.what.starts_with("the machine answered: "),
            "{}",
            failure.what
        );
        server.join().unwrap();
    }
}
