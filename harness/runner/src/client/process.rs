//! Runs one command of the client: captures stdout, stderr and the exit status, with a deadline.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use base::process::Owned;

use base::wait::WaitError;
use machine::{MachineError, Output};

/// The limit of each output of a command in bytes.
const MOST: usize = 16 << 20;
/// How many bytes of each output the timeout message shows.
const SHOWN: usize = 2000;

/// Runs `command`. It must end its child processes when it exits or is killed. It is killed at the
/// deadline.
pub(super) async fn run(
    mut command: Command,
    what: &str,
    limit: Duration,
) -> Result<Output, MachineError> {
    let other = |error: io::Error| MachineError::Other(format!("client: {error}"));
    let (mut out, theirs) = pipe().map_err(other)?;
    command.stdout(theirs);
    let (mut err, theirs) = pipe().map_err(other)?;
    command.stderr(theirs);
    let process = Owned::spawn(command).map_err(other)?;
    let mut ended = process.ended();
    let mut output = Output::default();
    let work = async {
        tokio::try_join!(
            read(&mut out, &mut output.stdout),
            read(&mut err, &mut output.stderr),
        )?;
        let status = ended.wait_for(Option::is_some).await;
        io::Result::Ok(status.ok().and_then(|status| *status))
    };
    match tokio::time::timeout(limit, work).await {
        Err(_) => Err(WaitError::deadline(what, limit, printed(&output)).into()),
        Ok(Err(why)) => Err(WaitError::failed(what, format!("{why}; {}", printed(&output))).into()),
        Ok(Ok(status)) => {
            output.exit = status.and_then(|status| status.code());
            Ok(output)
        }
    }
}

fn pipe() -> io::Result<(Receiver, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((Receiver::from_owned_fd(OwnedFd::from(reader))?, writer))
}

async fn read(from: &mut Receiver, kept: &mut Vec<u8>) -> io::Result<()> {
    while from.read_buf(kept).await? > 0 {
        if kept.len() > MOST {
            let text = format!("the command printed more than {} MiB", MOST >> 20);
            return Err(io::Error::other(text));
        }
    }
    Ok(())
}

fn printed(output: &Output) -> String {
    let shown = |bytes: &[u8]| {
        let tail = &bytes[bytes.len().saturating_sub(SHOWN)..];
        String::from_utf8_lossy(tail).trim().to_owned()
    };
    match (shown(&output.stdout), shown(&output.stderr)) {
        (out, err) if out.is_empty() && err.is_empty() => "no output".into(),
        (out, err) => format!("stdout: {out:?}, stderr: {err:?}"),
    }
}
