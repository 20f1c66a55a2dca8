//! Running a program with a timeout.

use std::io::{Error, Result};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The timeout for a killed program to be reaped.
const REAP_TIMEOUT: Duration = Duration::from_secs(1);

/// The exit status and the output of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramOutput {
    /// The exit status; -1 if a signal ended the program.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl ProgramOutput {
    /// The standard output of a program that exited with status 0.
    ///
    /// # Errors
    /// Another exit status; the error names the command and has its standard error.
    pub fn success(self, program: &str, arguments: &[&str]) -> super::Result<String> {
        match self.status {
            0 => Ok(self.stdout),
            status => Err(format!(
                "{program} {}: exit status {status}: {}",
                arguments.join(" "),
                self.stderr.trim()
            )),
        }
    }
}

impl From<Output> for ProgramOutput {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// How to wait for a program that may take long.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The program is killed after this time.
    pub timeout: Duration,
    /// How often the progress is reported.
    pub interval: Duration,
}

/// How a program with a timeout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It exited.
    Exited(ProgramOutput),
    /// It reached the timeout, was killed, and is gone.
    Killed,
    /// It was killed but still exists: it is in an uninterruptible system call.
    Stuck,
}

/// Runs a program and kills it after the timeout, which is an error.
pub(super) fn output(command: Command, timeout: Duration) -> Result<ProgramOutput> {
    let progress = Progress {
        timeout,
        interval: timeout,
    };
    match outcome(command, progress, &mut |_| ())? {
        Outcome::Exited(output) => Ok(output),
        Outcome::Killed | Outcome::Stuck => {
            let seconds = timeout.as_secs();
            Err(Error::other(format!("timed out after {seconds} s")))
        }
    }
}

/// Runs a program that may take long; calls `on_progress` at intervals with the time that has passed.
pub(super) fn outcome(
    mut command: Command,
    progress: Progress,
    on_progress: &mut dyn FnMut(Duration),
) -> Result<Outcome> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(Error::other)?;
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        // The receiver is gone if the program was stuck.
        let _ = sender.send(child.wait_with_output());
    })?;
    let begin = Instant::now();
    loop {
        let left = progress.timeout.saturating_sub(begin.elapsed());
        if let Ok(output) = receiver.recv_timeout(left.min(progress.interval)) {
            return output.map(|output| Outcome::Exited(output.into()));
        }
        if begin.elapsed() >= progress.timeout {
            break;
        }
        on_progress(begin.elapsed());
    }
    // It fails if the program has just exited.
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    // The program is reaped here, because this process may become another program, which would not reap
    // it. A program that waits for a disk that does not answer exits only when the disk answers.
    Ok(match receiver.recv_timeout(REAP_TIMEOUT) {
        Ok(_) => Outcome::Killed,
        Err(_) => Outcome::Stuck,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::null());
        shell
    }

    #[test]
    fn output_has_status_and_streams_when_the_program_exits_in_time() {
        let output = output(
            shell("echo out; echo err >&2; exit 3"),
            Duration::from_secs(60),
        );
        let expected = ProgramOutput {
            status: 3,
            stdout: "out\n".into(),
            stderr: "err\n".into(),
        };
        assert_eq!(output.unwrap(), expected);
    }

    #[test]
    fn output_kills_and_reaps_the_program_when_the_timeout_expires() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 600", file.display());
        let error = output(shell(&script), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), "timed out after 1 s");
        let pid = std::fs::read_to_string(&file).unwrap();
        let process = std::path::Path::new("/proc").join(pid.trim());
        assert!(!process.exists(), "{} exists", process.display());
    }

    #[test]
    fn outcome_reports_progress_when_the_program_takes_long() {
        let progress = Progress {
            timeout: Duration::from_secs(60),
            interval: Duration::from_millis(50),
        };
        let mut reports = 0;
        let outcome = outcome(shell("sleep 0.5"), progress, &mut |_| reports += 1).unwrap();
        assert!(matches!(
            outcome,
            Outcome::Exited(ProgramOutput { status: 0, .. })
        ));
        assert!((1..=10).contains(&reports), "{reports}");
    }
}
