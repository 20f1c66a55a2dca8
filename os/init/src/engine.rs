//! The engine's program, and what it thinks of arguments before it is started with them.

use std::time::Duration;

use crate::sys::{Result, Sys};

/// The program of both engines.
pub const PROGRAM: &str = "/usr/sbin/dockerd";

/// It only reads its arguments and files: this long it takes on no machine that it could work on.
const LIMIT: Duration = Duration::from_secs(30);

/// What the engine adds to what is wrong with an argument.
const ADVICE: &str = "See 'dockerd --help'.";

/// Has the engine read its arguments, and the files that they name, without starting.
///
/// # Errors
/// It refuses them: in its own words. It does not say in time.
pub fn validate(sys: &mut dyn Sys, arguments: &[&str]) -> Result<()> {
    let mut all = vec!["--validate"];
    all.extend(arguments);
    let ended = sys.ask_within(PROGRAM, &all, LIMIT)?;
    match ended.status {
        0 => Ok(()),
        _ => Err(why(&ended.errors).into()),
    }
}

/// The line that says why: the last one that is no advice.
fn why(errors: &str) -> &str {
    let lines = errors.lines().map(str::trim);
    let mut telling = lines.filter(|line| !line.is_empty() && !line.starts_with(ADVICE));
    let last = telling.next_back().unwrap_or("it does not say why");
    last.strip_prefix("Status: ").unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_says_why_in_one_line() {
        // As Docker 26 says it.
        let flag = "Status: invalid argument \"maybe\" for \"-D, --debug\" flag: invalid syntax\n\
                    See 'dockerd --help'., Code: 125\n";
        assert_eq!(
            why(flag),
            "invalid argument \"maybe\" for \"-D, --debug\" flag: invalid syntax"
        );
        let merged = "time=\"now\" level=warning msg=x\nconflict labels for a=c and a=b\n";
        assert_eq!(why(merged), "conflict labels for a=c and a=b");
        assert_eq!(why("\n"), "it does not say why");
    }
}
