//! A run as `JUnit` XML, for CI services: a suite for each profile, a test case for each scenario.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::run::{Attempt, Outcome, Run, TestResult};
use super::run_log::RunLog;
use events::Verdict;

/// The number of serial log lines per test case.
const LINES: usize = 100;

/// Renders a run as XML.
///
/// # Errors
/// The report cannot be serialized.
pub(crate) fn xml(run_log: &RunLog) -> Result<String, quick_junit::SerializeError> {
    let run = Run::of(&run_log.events);
    let mut report = Report::new("harness");
    report.set_timestamp(time(run.start));
    if let Some(duration) = run.duration {
        report.set_time(seconds(duration));
    }
    let mut suites = BTreeMap::new();
    for result in &run.trials {
        let profile = result.profile();
        let suite = suites
            .entry(profile)
            .or_insert_with(|| TestSuite::new(profile));
        suite.add_test_case(case(result, run_log));
    }
    report.add_test_suites(suites.into_values());
    report.to_string()
}

fn case(result: &TestResult, run_log: &RunLog) -> TestCase {
    let mut case = TestCase::new(result.scenario(), status(result));
    case.set_classname(result.profile());
    if let Some(duration) = result.duration() {
        case.set_time(seconds(duration));
    }
    if let Some(last) = result.attempts.last() {
        case.set_timestamp(time(last.start));
        case.add_property(("file", &*last.file.to_string_lossy()));
        if !last.machines.is_empty() {
            case.add_property(("machines", &*last.machines.join(" ")));
        }
        if let Some(machine) = last.failed_on() {
            case.add_property(("failed-on", machine));
        }
        if let Some(evidence) = last.left() {
            case.add_property(("evidence", &*evidence.to_string_lossy()));
        }
        let output = serial(last, run_log);
        if !output.is_empty() {
            case.set_system_out(output);
        }
    }
    case
}

fn status(result: &TestResult) -> TestCaseStatus {
    let outcome = result.outcome();
    let mut status = match outcome {
        Outcome::Passed | Outcome::Flaky => TestCaseStatus::success(),
        Outcome::Ignored | Outcome::KnownFailure => TestCaseStatus::skipped(),
        Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Error | Outcome::NotEnded => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if !matches!(outcome, Outcome::Passed | Outcome::Flaky) {
        let reason = result.reason().unwrap_or("the trial did not end");
        status.set_type(outcome.word());
        status.set_message(first_line(reason));
        status.set_description(reason);
    }
    let before = result.attempts.len().saturating_sub(1);
    status.add_reruns(result.attempts[..before].iter().map(rerun));
    status
}

/// An attempt that another one followed.
fn rerun(attempt: &Attempt) -> TestRerun {
    let end = attempt.end.as_ref();
    let failed = end.is_some_and(|end| end.verdict == Verdict::Failed);
    let kind = if failed {
        NonSuccessKind::Failure
    } else {
        NonSuccessKind::Error
    };
    let mut rerun = TestRerun::new(kind);
    rerun.set_timestamp(time(attempt.start));
    rerun.set_time(seconds(attempt.length()));
    let reason = end
        .and_then(|end| end.reason.as_deref())
        .unwrap_or_default();
    rerun.set_type(if failed { "failed" } else { "error" });
    rerun.set_message(first_line(reason));
    rerun.set_description(reason);
    rerun
}

/// The last lines of the serial log of each machine, below its name if there are several.
fn serial(attempt: &Attempt, run_log: &RunLog) -> String {
    let mut text = Vec::new();
    for (name, folder) in attempt.logs() {
        let excerpt = run_log.excerpts.get(&folder);
        let lines = excerpt.map_or(&[][..], |excerpt| &excerpt.serial);
        let last = &lines[lines.len().saturating_sub(LINES)..];
        text.extend(name.map(|name| format!("==> {name} <==")));
        text.extend(last.iter().map(|line| line.text.clone()));
    }
    text.join("\n")
}

fn first_line(text: &str) -> &str {
    text.lines()
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn time(timestamp: f64) -> chrono::DateTime<chrono::Utc> {
    SystemTime::into(UNIX_EPOCH + seconds(timestamp))
}
