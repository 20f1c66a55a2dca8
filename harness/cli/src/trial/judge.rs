//! Texts against what was expected of them.

use std::path::Path;
use std::time::Duration;

use similar::TextDiff;

use machine::Output;
use scenario::TextExpectation;

use super::fault::{Fault, ending};
use super::snapshot;

/// How long two texts are compared at most.
const DIFF_TIME: Duration = Duration::from_secs(2);

/// What a command must come to, whoever ran it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The exit status.
    pub exit: i64,
    /// Standard output.
    pub stdout: Option<&'a TextExpectation>,
    /// Standard error.
    pub stderr: Option<&'a TextExpectation>,
}

/// Judges what a command came to.
///
/// # Errors
/// The first thing that is not as wanted.
pub fn output(wanted: Wanted<'_>, output: &Output, snapshots: &Path) -> Result<(), Fault> {
    if output.signal.is_some() || output.exit.map(i64::from) != Some(wanted.exit) {
        let (seen, exit) = (ending(output), wanted.exit);
        return Err(Fault::new(format!(
            "the command ended with {seen}, expected exit status {exit}"
        )));
    }
    for (name, bytes, expected) in [
        ("stdout", &output.stdout, wanted.stdout),
        ("stderr", &output.stderr, wanted.stderr),
    ] {
        if let Some(expected) = expected {
            text(name, &String::from_utf8_lossy(bytes), expected, snapshots)?;
        }
    }
    Ok(())
}

/// The same, and a fault shows the command and all that it printed.
///
/// # Errors
/// See [`output`].
pub fn command(
    line: &str,
    wanted: Wanted<'_>,
    output: &Output,
    snapshots: &Path,
) -> Result<(), Fault> {
    self::output(wanted, output, snapshots).map_err(|fault| fault.with_output(line, output))
}

/// Judges one text.
///
/// # Errors
/// The first expectation that it does not meet.
pub fn text(
    name: &str,
    got: &str,
    expected: &TextExpectation,
    snapshots: &Path,
) -> Result<(), Fault> {
    if let Some(equal) = &expected.equals
        && without_end(equal) != without_end(got)
    {
        return Err(
            Fault::new(format!("{name} is not equal to what was expected"))
                .with("difference (- expected, + got)", diff(equal, got)),
        );
    }
    if let Some(pattern) = &expected.matches
        && !pattern.0.is_match(got)
    {
        return Err(Fault::new(format!("{name} does not match /{}/", pattern.0)).with("got", got));
    }
    let words = |words: &Option<scenario::Words>| words.clone().unwrap_or_default().0;
    if let Some(word) = words(&expected.contains)
        .iter()
        .find(|word| !got.contains(*word))
    {
        return Err(Fault::new(format!("{name} does not contain `{word}`")).with("got", got));
    }
    if let Some(word) = words(&expected.lacks)
        .iter()
        .find(|word| got.contains(*word))
    {
        return Err(
            Fault::new(format!("{name} contains `{word}`, which it must not")).with("got", got),
        );
    }
    match &expected.snapshot {
        Some(snapshot) => snapshot::compare(name, got, snapshot, &expected.filters, snapshots),
        None => Ok(()),
    }
}

/// One line end at the end of a text does not count.
fn without_end(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

/// Two texts, line by line.
pub fn diff(expected: &str, got: &str) -> String {
    let (expected, got) = (without_end(expected), without_end(got));
    // Beyond that it is a coarser one.
    let mut diff = TextDiff::configure();
    let diff = diff.timeout(DIFF_TIME).diff_lines(expected, got);
    diff.iter_all_changes()
        .map(|change| {
            format!(
                "{}{}\n",
                change.tag(),
                change.value().trim_end_matches('\n')
            )
        })
        .collect()
}
