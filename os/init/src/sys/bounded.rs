//! Running a program that may never end.

use std::io::{Error, Result};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Ended;

/// For a program that was killed to be gone.
const GONE: Duration = Duration::from_secs(1);

/// Runs a program to its end, and kills it where that takes longer than the limit.
pub fn output(mut command: Command, limit: Duration) -> Result<Ended> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(Error::other)?;
    let (tell, told) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        // Nobody may be waiting any more.
        let _ = tell.send(child.wait_with_output());
    })?;
    if let Ok(output) = told.recv_timeout(limit) {
        return output.map(Ended::from);
    }
    // It may just have ended by itself.
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    // So that it is waited for before this process becomes another one, which would not.
    let _ = told.recv_timeout(GONE);
    let seconds = limit.as_secs();
    Err(Error::other(format!("it is not done after {seconds} s")))
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
    fn what_ends_in_time_is_told() {
        let ended = output(
            shell("echo out; echo err >&2; exit 3"),
            Duration::from_secs(60),
        );
        let wanted = Ended {
            status: 3,
            output: "out\n".into(),
            errors: "err\n".into(),
        };
        assert_eq!(ended.unwrap(), wanted);
    }

    #[test]
    fn what_does_not_end_is_killed_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 600", file.display());
        let error = output(shell(&script), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), "it is not done after 1 s");
        let pid = std::fs::read_to_string(&file).unwrap();
        let here = std::path::Path::new("/proc").join(pid.trim());
        assert!(!here.exists(), "{} is left", here.display());
    }
}
