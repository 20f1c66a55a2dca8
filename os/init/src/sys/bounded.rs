//! Running a program that may never end.

use std::io::{Error, Result};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Ended, Outcome, Patience};

/// For a program that was killed to be gone.
const GONE: Duration = Duration::from_secs(1);

/// Runs a program to its end, and kills it where that takes longer than the limit.
pub fn output(command: Command, limit: Duration) -> Result<Ended> {
    let patience = Patience { limit, tell: limit };
    match outcome(command, patience, &mut |_| ())? {
        Outcome::Ended(ended) => Ok(ended),
        Outcome::Killed | Outcome::Hangs => {
            let seconds = limit.as_secs();
            Err(Error::other(format!("it is not done after {seconds} s")))
        }
    }
}

/// The same of a program that may take long: `tell` is told now and then for how long it has run.
pub fn outcome(
    mut command: Command,
    patience: Patience,
    tell: &mut dyn FnMut(Duration),
) -> Result<Outcome> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(Error::other)?;
    let (end, ended) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        // Nobody may be waiting any more.
        let _ = end.send(child.wait_with_output());
    })?;
    let begin = Instant::now();
    loop {
        let left = patience.limit.saturating_sub(begin.elapsed());
        if let Ok(output) = ended.recv_timeout(left.min(patience.tell)) {
            return output.map(|output| Outcome::Ended(output.into()));
        }
        if begin.elapsed() >= patience.limit {
            break;
        }
        tell(begin.elapsed());
    }
    // It may just have ended by itself.
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    // So that it is waited for before this process becomes another one, which would not. One that
    // waits for a disk that does not answer is not gone before the disk answers.
    Ok(match ended.recv_timeout(GONE) {
        Ok(_) => Outcome::Killed,
        Err(_) => Outcome::Hangs,
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

    #[test]
    fn what_takes_long_is_told_of() {
        let patience = Patience {
            limit: Duration::from_secs(60),
            tell: Duration::from_millis(50),
        };
        let mut told = 0;
        let ended = outcome(shell("sleep 0.5"), patience, &mut |_| told += 1).unwrap();
        assert!(matches!(ended, Outcome::Ended(Ended { status: 0, .. })));
        assert!((1..=10).contains(&told), "{told}");
    }
}
