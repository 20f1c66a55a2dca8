//! The engine's program, and the check of its arguments before it starts.

use std::time::Duration;

use sys::{Result, Sys};

/// The program of both engines.
pub const PROGRAM: &str = "/usr/sbin/dockerd";

/// The timeout of a check. The engine only reads its arguments and files, so even a slow machine needs
/// much less.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The beginning of a line that the engine prints after an error about an argument.
const ADVICE: &str = "See 'dockerd --help'.";

/// Lets the engine check its arguments, and the files that they name, without starting.
///
/// # Errors
/// The engine rejects them, in which case the error is its own message; or the timeout expires.
pub fn validate(sys: &mut dyn Sys, arguments: &[&str]) -> Result<()> {
    let mut all = vec!["--validate"];
    all.extend(arguments);
    let output = sys.run_with_timeout(PROGRAM, &all, TIMEOUT)?;
    match output.status {
        0 => Ok(()),
        _ => Err(reason(&output.stderr).into()),
    }
}

/// The last line of the output that is not advice.
fn reason(stderr: &str) -> &str {
    let lines = stderr.lines().map(str::trim);
    let mut reasons = lines.filter(|line| !line.is_empty() && !line.starts_with(ADVICE));
    let last = reasons.next_back().unwrap_or("it printed no reason");
    last.strip_prefix("Status: ").unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_the_last_line_without_the_advice() {
        // The output of Docker 26.
        let flag = "Status: invalid argument \"maybe\" for \"-D, --debug\" flag: invalid syntax\n\
                    See 'dockerd --help'., Code: 125\n";
        assert_eq!(
            reason(flag),
            "invalid argument \"maybe\" for \"-D, --debug\" flag: invalid syntax"
        );
        let merged = "time=\"now\" level=warning msg=x\nconflict labels for a=c and a=b\n";
        assert_eq!(reason(merged), "conflict labels for a=c and a=b");
        assert_eq!(reason("\n"), "it printed no reason");
    }
}
