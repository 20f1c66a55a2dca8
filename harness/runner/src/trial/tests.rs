use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;

use super::failure::{Failure, InfrastructureError};
use super::report::{FailureReport, FinishedStep, Seen};
use crate::session::{Slowdown, StepFailure, StepTimeout, Wanted, judge, scaled};
use machine::{BootEvent, GuestFailure, MachineError, Output};
use scenario::{Known, Scenario, Step, TextExpectation};

const TEA: &str = r"name: tea
about: tea can be made
steps:
  - ssh: { run: fill kettle }
  - ssh: { run: make tea, stdout: { equals: tea } }
  - reboot: {}
";

fn scenario() -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tea.yaml");
    std::fs::write(&file, TEA).unwrap();
    let mut scenario = scenario::load(
        &file,
        &Known {
            profiles: vec!["q35".into()],
            ..Known::default()
        },
    )
    .unwrap();
    scenario.file = "scenarios/tea.yaml".into();
    scenario
}

fn seen() -> Seen {
    let event = |stage: &str, seconds, error: Option<&str>| BootEvent {
        stage: stage.into(),
        seconds,
        error: error.map(str::to_owned),
        ok: error.is_none(),
        fatal: false,
    };
    let lines: Vec<String> = (1..=50)
        .map(|n| format!("\x1b[32mline\x1b[0m {n}\r"))
        .collect();
    Seen {
        serial: lines.join("\n"),
        events: vec![
            event("init", 0.12, None),
            event("state", 12.0, Some("no disk")),
        ],
    }
}

fn ran(title: &str, millis: u64) -> FinishedStep {
    FinishedStep {
        title: title.into(),
        duration: Duration::from_millis(millis),
    }
}

#[test]
fn report_of_a_failed_step_shows_its_output_the_steps_and_the_console() {
    let coffee = Output {
        exit: Some(0),
        stdout: "coffee\nblack\n".into(),
        stderr: "kettle: empty\n".into(),
        ..Output::default()
    };
    let expected: TextExpectation = serde_yaml::from_str("equals: tea").unwrap();
    let wanted = Wanted {
        exit: 0,
        stdout: Some(&expected),
        stderr: None,
    };
    let failure = judge::command("make tea", wanted, &coffee, Path::new("snapshots")).unwrap_err();
    let ran = [
        ran("boot", 17_300),
        ran("ssh: fill kettle", 210),
        ran("ssh: make tea", 1_080),
    ];
    assert_snapshot!(FailureReport::step(failure, 1, &ran).text(&scenario(), &seen()));
}

#[test]
fn report_of_a_failed_boot_shows_that_nothing_was_received() {
    let report = FailureReport::boot(
        StepFailure::new("guest failure on the console: Kernel panic"),
        &[ran("boot", 900)],
    );
    let nothing = Seen {
        serial: String::new(),
        events: Vec::new(),
    };
    assert_snapshot!(report.text(&scenario(), &nothing));
}

#[test]
fn report_shows_the_lines_before_a_panic() {
    let panic = GuestFailure::Panic {
        kind: "kernel panic",
        line: "line 9".into(),
    };
    let failure = StepFailure::from(MachineError::from(panic));
    let report = FailureReport::boot(failure, &[ran("boot", 900)]);
    let text = report.text(&scenario(), &seen());
    let shown: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("  | "))
        .collect();
    assert_eq!(
        (shown.first(), shown.last()),
        (Some(&"  | line 1"), Some(&"  | line 19"))
    );
}

#[test]
fn step_timeout_overrides_the_default_of_its_kind() {
    let mut steps = scenario().steps;
    let limit = |step: &Step| StepTimeout::of(step, None, Slowdown::of(std::iter::empty())).limit;
    let reboot = limit(&steps[2]);
    steps[0].timeout = Some(Duration::from_secs(7));
    assert_eq!(limit(&steps[0]), scaled(Duration::from_secs(7)));
    assert!(
        limit(&steps[1]) < reboot,
        "a reboot takes longer than a command"
    );
}

#[test]
fn reason_of_an_infrastructure_error_lacks_the_evidence_folder() {
    let error = InfrastructureError::Machine {
        error: MachineError::Start("no memory".into()),
        evidence: "target/evidence/q35-tea-1".into(),
    };
    assert_eq!(error.reason(), "QEMU did not start: no memory");
    assert_eq!(
        Failure::from(error).text(),
        "QEMU did not start: no memory\nevidence: target/evidence/q35-tea-1"
    );
}
