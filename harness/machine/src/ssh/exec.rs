//! Runs one command on a connection: separate outputs, exit status, and a deadline.

use std::time::{Duration, Instant};

use ssh2::Channel;

use super::connection::{Connection, SshError};
use crate::error::MachineError;
use crate::output::Output;
use base::shell;
use base::wait::WaitError;

/// Maximum output of one command, in bytes, so that a broken guest cannot fill the host's memory.
const MAX_OUTPUT: usize = 256 << 20;
/// Bytes of each output that a deadline error shows.
const TAIL_BYTES: usize = 2000;

/// Runs `command` on a connection that serves nothing else, until `end`. `limit` is the original
/// timeout, for the message.
pub(super) fn run(
    connection: &Connection,
    command: &str,
    limit: Duration,
    end: Instant,
) -> Result<Output, MachineError> {
    let mut command = Command::new(command.into(), vec![], limit, end);
    let outcome = loop {
        match command.advance(connection) {
            Ok(Progress::Ended) => break Ok(()),
            Ok(Progress::Moved) => {}
            Ok(Progress::Waits) => {
                if let Err(error) = connection.wait(end) {
                    break Err(error);
                }
            }
            Err(error) => break Err(error),
        }
    };
    command.outcome(outcome)
}

/// A running command.
pub(super) struct Command {
    line: String,
    limit: Duration,
    end: Instant,
    /// `None` before the command starts.
    channel: Option<Channel>,
    stdin: Vec<u8>,
    written: usize,
    stdin_ended: bool,
    output: Output,
}

/// The result of a step.
pub(super) enum Progress {
    /// The command ended.
    Ended,
    /// Bytes were moved, and more may follow.
    Moved,
    /// The command waits for the guest.
    Waits,
}

impl Command {
    /// A command that has not started.
    pub(super) fn new(line: String, stdin: Vec<u8>, limit: Duration, end: Instant) -> Self {
        Self {
            line,
            limit,
            end,
            channel: None,
            stdin,
            written: 0,
            stdin_ended: false,
            output: Output::default(),
        }
    }

    /// The deadline of the command.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// Moves all bytes that can be moved now.
    pub(super) fn advance(&mut self, connection: &Connection) -> Result<Progress, SshError> {
        let end = self.end;
        if Instant::now() >= end {
            return Err(SshError::Deadline);
        }
        let channel = match &mut self.channel {
            Some(channel) => channel,
            none => {
                let mut channel = connection.until(end, ssh2::Session::channel_session)?;
                connection.until(end, |_| channel.exec(&self.line))?;
                none.insert(channel)
            }
        };
        let mut moved = drain(connection, channel, &mut self.output)?;
        if channel.eof() {
            finish(connection, channel, end, &mut self.output)?;
            return Ok(Progress::Ended);
        }
        let rest = &self.stdin[self.written..];
        if !rest.is_empty() {
            let written = connection.write(channel, rest, end)?;
            self.written += written;
            moved |= written > 0;
        } else if !std::mem::replace(&mut self.stdin_ended, true) {
            connection.until(end, |_| channel.send_eof())?;
        }
        moved |= Connection::unread(channel);
        moved |= self.written < self.stdin.len() && Connection::takes(channel);
        Ok(if moved {
            Progress::Moved
        } else {
            Progress::Waits
        })
    }

    /// The result for the caller.
    pub(super) fn outcome(self, outcome: Result<(), SshError>) -> Result<Output, MachineError> {
        let Self { line, output, .. } = self;
        match outcome {
            Ok(()) => Ok(output),
            Err(SshError::Deadline) => {
                let what = format!("the end of `{line}`");
                Err(WaitError::deadline(&what, self.limit, printed(&output)).into())
            }
            Err(SshError::Broken(why)) => {
                let printed = printed(&output);
                Err(MachineError::Ssh(format!("`{line}`: {why}; {printed}")))
            }
            Err(SshError::Refused) => Err(MachineError::Ssh(format!("`{line}` was refused"))),
        }
    }
}

/// Reads both outputs; `true` if any had bytes.
fn drain(
    connection: &Connection,
    channel: &Channel,
    output: &mut Output,
) -> Result<bool, SshError> {
    let mut buffer = [0; 32 << 10];
    let mut any = false;
    let began = &mut output.began;
    for (id, buffered) in [
        (0, &mut output.stdout),
        (ssh2::EXTENDED_DATA_STDERR, &mut output.stderr),
    ] {
        while let Some(n @ 1..) = connection.read(&mut channel.stream(id), &mut buffer)? {
            buffered.extend_from_slice(&buffer[..n]);
            any = true;
            began.get_or_insert_with(Instant::now);
            if buffered.len() > MAX_OUTPUT {
                return Err(SshError::Broken(format!(
                    "it printed more than {} MiB",
                    MAX_OUTPUT >> 20
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
) -> Result<(), SshError> {
    connection.until(end, |_| channel.close())?;
    connection.until(end, |_| channel.wait_close())?;
    output.signal = channel.exit_signal()?.exit_signal;
    if output.signal.is_none() {
        output.exit = Some(channel.exit_status()?);
    }
    Ok(())
}

fn printed(output: &Output) -> String {
    let tail_of = |bytes: &[u8]| {
        let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        String::from_utf8_lossy(tail).trim().to_owned()
    };
    match (tail_of(&output.stdout), tail_of(&output.stderr)) {
        (out, err) if out.is_empty() && err.is_empty() => "it printed nothing".into(),
        (out, err) => format!("stdout: {out:?}, stderr: {err:?}"),
    }
}

/// A POSIX script that writes its input to a temporary file and renames it after all bytes arrived.
/// To the guest, a broken connection looks like the end of the input.
pub(super) fn upload_script(to: &str, mode: u32, length: usize) -> String {
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
    use std::process::Stdio;

    fn upload(to: &std::path::Path, length: usize, content: &[u8]) -> bool {
        let script = upload_script(to.to_str().unwrap(), 0o640, length);
        let mut shell = std::process::Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(content).unwrap();
        shell.wait().unwrap().success()
    }

    #[test]
    fn upload_is_atomic() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("it's here");
        assert!(!upload(&to, 5, b"abc"));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        assert!(upload(&to, 3, b"abc"));
        assert_eq!(std::fs::read(&to).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }
}
