//! One command on a connection: both outputs apart, its end, and a deadline.

use std::time::{Duration, Instant};

use ssh2::Channel;

use super::Output;
use super::connection::{Connection, Trouble};
use crate::machine::{MachineError, shell};
use crate::poll::WaitError;

/// What one command may print: a guest gone mad must not fill the host's memory.
const MOST: usize = 256 << 20;
/// Shown of each output at a deadline.
const SHOWN: usize = 2000;

/// Runs `command` with `stdin`, until `end` (`limit` is how long that was, for the message).
pub fn run(
    connection: &Connection,
    command: &str,
    stdin: &[u8],
    limit: Duration,
    end: Instant,
) -> Result<Output, MachineError> {
    let mut output = Output {
        exit: None,
        signal: None,
        stdout: vec![],
        stderr: vec![],
    };
    match converse(connection, command, stdin, end, &mut output) {
        Ok(()) => Ok(output),
        Err(Trouble::Deadline) => {
            Err(
                WaitError::deadline(&format!("the end of `{command}`"), limit, printed(&output))
                    .into(),
            )
        }
        Err(Trouble::Broken(why)) => Err(MachineError::Ssh(format!(
            "`{command}`: {why}; {}",
            printed(&output)
        ))),
        Err(Trouble::Refused) => Err(MachineError::Ssh(format!("`{command}` was refused"))),
    }
}

fn converse(
    connection: &Connection,
    command: &str,
    stdin: &[u8],
    end: Instant,
    output: &mut Output,
) -> Result<(), Trouble> {
    let mut channel = connection.until(end, ssh2::Session::channel_session)?;
    connection.until(end, |_| channel.exec(command))?;
    let mut rest = stdin;
    let mut open = true;
    loop {
        let mut moved = drain(connection, &channel, output)?;
        if channel.eof() {
            break;
        }
        if !rest.is_empty() {
            let written = connection.write(&mut channel, rest, end)?;
            rest = &rest[written..];
            moved |= written > 0;
        } else if std::mem::take(&mut open) {
            connection.until(end, |_| channel.send_eof())?;
        }
        moved |= Connection::unread(&channel) || !rest.is_empty() && Connection::takes(&channel);
        match moved {
            true if Instant::now() >= end => return Err(Trouble::Deadline),
            true => {}
            false => connection.wait(end)?,
        }
    }
    finish(connection, &mut channel, end, output)
}

/// Takes what both outputs have; true when they had anything.
fn drain(connection: &Connection, channel: &Channel, output: &mut Output) -> Result<bool, Trouble> {
    let mut buffer = [0; 32 << 10];
    let mut any = false;
    for (id, kept) in [
        (0, &mut output.stdout),
        (ssh2::EXTENDED_DATA_STDERR, &mut output.stderr),
    ] {
        while let Some(n @ 1..) = connection.read(&mut channel.stream(id), &mut buffer)? {
            kept.extend_from_slice(&buffer[..n]);
            any = true;
            if kept.len() > MOST {
                return Err(Trouble::Broken(format!(
                    "it printed more than {} MiB",
                    MOST >> 20
                )));
            }
        }
    }
    Ok(any)
}

fn finish(
    connection: &Connection,
    channel: &mut Channel,
    end: Instant,
    output: &mut Output,
) -> Result<(), Trouble> {
    connection.until(end, |_| channel.close())?;
    connection.until(end, |_| channel.wait_close())?;
    output.signal = channel.exit_signal()?.exit_signal;
    if output.signal.is_none() {
        output.exit = Some(channel.exit_status()?);
    }
    Ok(())
}

fn printed(output: &Output) -> String {
    let shown = |bytes: &[u8]| {
        let tail = &bytes[bytes.len().saturating_sub(SHOWN)..];
        String::from_utf8_lossy(tail).trim().to_owned()
    };
    match (shown(&output.stdout), shown(&output.stderr)) {
        (out, err) if out.is_empty() && err.is_empty() => "it printed nothing".into(),
        (out, err) => format!("stdout: {out:?}, stderr: {err:?}"),
    }
}

/// A POSIX script that writes its input to a file beside the wanted one and renames it when all
/// bytes arrived: a connection that breaks looks like the end of the input to the guest.
pub fn upload_script(to: &str, mode: u32, length: usize) -> String {
    let to = shell::quote(to);
    format!(
        "set -e; test ! -d {to}; t=$(mktemp {to}.XXXXXX); trap 'rm -f \"$t\"' EXIT; \
         cat > \"$t\"; test \"$(wc -c < \"$t\")\" -eq {length}; chmod {mode:o} \"$t\"; mv \"$t\" {to}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn upload(to: &std::path::Path, length: usize, content: &[u8]) -> bool {
        let script = upload_script(to.to_str().unwrap(), 0o640, length);
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(content).unwrap();
        shell.wait().unwrap().success()
    }

    #[test]
    fn an_upload_is_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("it's here");
        assert!(!upload(&to, 5, b"abc"));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        assert!(upload(&to, 3, b"abc"));
        assert_eq!(std::fs::read(&to).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }
}
