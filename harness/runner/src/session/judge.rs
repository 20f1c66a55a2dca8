//! Compares output with expectations.

use std::path::Path;
use std::time::Duration;

use similar::TextDiff;

use machine::Output;
use scenario::TextExpectation;

use super::failure::{StepFailure, ending};
use super::snapshot;

/// The time limit for computing a diff.
const DIFF_TIME: Duration = Duration::from_secs(2);

/// The expected result of a command.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// The exit status.
    pub(crate) exit: i64,
    /// Standard output.
    pub(crate) stdout: Option<&'a TextExpectation>,
    /// Standard error.
    pub(crate) stderr: Option<&'a TextExpectation>,
}

/// Judges the result of a command.
///
/// # Errors
/// The first expectation that is not met.
pub(crate) fn output(
    wanted: Wanted<'_>,
    output: &Output,
    snapshots: &Path,
) -> Result<(), StepFailure> {
    if output.signal.is_some() || output.exit.map(i64::from) != Some(wanted.exit) {
        let (seen, exit) = (ending(output), wanted.exit);
        return Err(StepFailure::new(format!(
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

/// Like [`output`], but the failure includes the command and its output.
///
/// # Errors
/// See [`output`].
pub(crate) fn command(
    line: &str,
    wanted: Wanted<'_>,
    output: &Output,
    snapshots: &Path,
) -> Result<(), StepFailure> {
    self::output(wanted, output, snapshots).map_err(|failure| failure.with_output(line, output))
}

/// Judges one text.
///
/// # Errors
/// The first expectation that the text does not meet.
pub(crate) fn text(
    name: &str,
    got: &str,
    expected: &TextExpectation,
    snapshots: &Path,
) -> Result<(), StepFailure> {
    if let Some(equal) = &expected.equals
        && without_newline(equal) != without_newline(got)
    {
        return Err(
            StepFailure::new(format!("{name} differs from the expected text"))
                .with("difference (- expected, + got)", diff(equal, got)),
        );
    }
    if let Some(pattern) = &expected.matches
        && !pattern.0.is_match(got)
    {
        return Err(
            StepFailure::new(format!("{name} does not match /{}/", pattern.0)).with("got", got),
        );
    }
    let words = |words: &Option<scenario::Words>| words.clone().unwrap_or_default().0;
    if let Some(word) = words(&expected.contains)
        .iter()
        .find(|word| !got.contains(*word))
    {
        return Err(StepFailure::new(format!("{name} does not contain `{word}`")).with("got", got));
    }
    if let Some(word) = words(&expected.lacks)
        .iter()
        .find(|word| got.contains(*word))
    {
        return Err(
            StepFailure::new(format!("{name} contains `{word}`, expected it not to"))
                .with("got", got),
        );
    }
    match &expected.snapshot {
        Some(snapshot) => snapshot::compare(name, got, snapshot, &expected.filters, snapshots),
        None => Ok(()),
    }
}

/// Strips one trailing newline, which comparisons ignore.
fn without_newline(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

/// A line-by-line diff of two texts.
pub(crate) fn diff(expected: &str, got: &str) -> String {
    let (expected, got) = (without_newline(expected), without_newline(got));
    // After the time limit, the diff becomes coarser.
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
