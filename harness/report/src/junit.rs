//! A run as `JUnit` XML, for CI services: a suite for each profile, a test case for each scenario.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::run::{Attempt, Outcome, Run, TestResult};
use super::run_log::RunLog;
use events::Verdict;

/// Lines of the serial log that go with a trial.
const LINES: usize = 100;

/// The XML.
///
/// # Errors
/// It cannot be written as XML.
pub fn xml(run_log: &RunLog) -> Result<String, quick_junit::SerializeError> {
    let run = Run::of(&run_log.events);
    let mut report = Report::new("harness");
    report.set_timestamp(time(run.at));
    if let Some(took) = run.took {
        report.set_time(seconds(took));
    }
    let mut suites = BTreeMap::new();
    for tried in &run.trials {
        let profile = tried.profile();
        let suite = suites
            .entry(profile)
            .or_insert_with(|| TestSuite::new(profile));
        suite.add_test_case(case(tried, run_log));
    }
    report.add_test_suites(suites.into_values());
    report.to_string()
}

fn case(tried: &TestResult, run_log: &RunLog) -> TestCase {
    let mut case = TestCase::new(tried.scenario(), status(tried));
    case.set_classname(tried.profile());
    if let Some(took) = tried.took() {
        case.set_time(seconds(took));
    }
    if let Some(last) = tried.attempts.last() {
        case.set_timestamp(time(last.at));
        case.add_property(("file", &*last.file.to_string_lossy()));
        if let Some(evidence) = last.left() {
            case.add_property(("evidence", &*evidence.to_string_lossy()));
        }
        let said = serial(last, run_log);
        if !said.is_empty() {
            case.set_system_out(said);
        }
    }
    case
}

fn status(tried: &TestResult) -> TestCaseStatus {
    let outcome = tried.outcome();
    let mut status = match outcome {
        Outcome::Passed | Outcome::Flaky => TestCaseStatus::success(),
        Outcome::Ignored | Outcome::Known => TestCaseStatus::skipped(),
        Outcome::Red => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::NoVerdict | Outcome::NotEnded => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    if !matches!(outcome, Outcome::Passed | Outcome::Flaky) {
        let why = tried.why().unwrap_or("nothing was heard of its end");
        status.set_type(outcome.word());
        status.set_message(first_line(why));
        status.set_description(why);
    }
    let before = tried.attempts.len().saturating_sub(1);
    status.add_reruns(tried.attempts[..before].iter().map(rerun));
    status
}

/// An attempt after which there was another one.
fn rerun(attempt: &Attempt) -> TestRerun {
    let end = attempt.end.as_ref();
    let red = end.is_some_and(|end| end.verdict == Verdict::Failed);
    let kind = if red {
        NonSuccessKind::Failure
    } else {
        NonSuccessKind::Error
    };
    let mut rerun = TestRerun::new(kind);
    rerun.set_timestamp(time(attempt.at));
    rerun.set_time(seconds(attempt.length()));
    let why = end.and_then(|end| end.why.as_deref()).unwrap_or_default();
    rerun.set_type(if red { "red" } else { "no verdict" });
    rerun.set_message(first_line(why));
    rerun.set_description(why);
    rerun
}

/// The end of what the machine said.
fn serial(attempt: &Attempt, run_log: &RunLog) -> String {
    let excerpts = run_log.excerpts.get(&attempt.evidence);
    let said = excerpts.map_or(&[][..], |excerpts| &excerpts.serial);
    let last = &said[said.len().saturating_sub(LINES)..];
    let lines: Vec<&str> = last.iter().map(|said| said.text.as_str()).collect();
    lines.join("\n")
}

fn first_line(text: &str) -> &str {
    text.lines()
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn time(at: f64) -> chrono::DateTime<chrono::Utc> {
    SystemTime::into(UNIX_EPOCH + seconds(at))
}
