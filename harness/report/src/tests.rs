mod cluster;

use insta::assert_snapshot;

use super::excerpt::{EvidenceExcerpt, SerialLine};
use super::run::{Outcome, Run};
use super::run_log::RunLog;
use super::{html, junit};
use events::SnapshotOutcome;
use events::{BootStage, BootTimeline};
use events::{Event, EventKind, StepHead, Verdict};

/// A text that a guest or a file could contain.
const HOSTILE: &str = "<script>alert('1')</script> & \"\u{1b}[1m\"";

/// Builds the log of a run.
#[derive(Default)]
struct LogBuilder {
    seconds: f64,
    run_log: RunLog,
}

impl LogBuilder {
    fn event(&mut self, kind: EventKind) -> &mut Self {
        self.seconds += 1.0;
        self.run_log.events.push(Event {
            timestamp: self.seconds,
            kind,
        });
        self
    }

    fn begins(&mut self, trial: &str) -> &mut Self {
        let heads = ["fill the kettle", "make tea"];
        let heads = heads.map(|title: &str| StepHead {
            line: 4,
            title: title.into(),
            on: vec![],
        });
        self.event(EventKind::TrialBegins {
            trial: trial.into(),
            about: format!("Tea can be made. {HOSTILE}"),
            file: "scenarios/tea.yaml".into(),
            steps: heads.into(),
            machines: vec![],
            evidence: format!("/evidence/{}-{}", trial.replace("::", "-"), self.seconds).into(),
        })
    }

    fn step(&mut self, trial: &str, step: usize, failure: Option<&str>) -> &mut Self {
        let title = || format!("step {step} {HOSTILE}");
        self.event(EventKind::StepBegins {
            trial: trial.into(),
            step,
            line: 4,
            title: title(),
            on: vec![],
        });
        self.event(EventKind::StepEnds {
            trial: trial.into(),
            step,
            title: title(),
            duration: 1.0,
            failure: failure.map(str::to_owned),
            failed_on: None,
        })
    }

    fn ends(&mut self, trial: &str, verdict: Verdict, reason: Option<&str>) -> &mut Self {
        let failed = verdict == Verdict::Failed;
        self.event(EventKind::TrialEnds {
            trial: trial.into(),
            verdict,
            duration: 3.5,
            step: failed.then_some(1),
            reason: reason.map(str::to_owned),
            evidence: reason.map(|_| "/evidence".into()),
            machine: failed.then(|| SnapshotOutcome::NotKept {
                reason: "the limit is 0".into(),
            }),
            failed_on: None,
        })
    }

    /// A trial that failed in a setup, whose machine is kept.
    fn failed_setup(&mut self, trial: &str, verdict: Verdict) -> &mut Self {
        self.begins(trial).event(EventKind::Setup {
            trial: trial.into(),
            setup: "kettle".into(),
            evidence: "/evidence/q35-setup-kettle-7".into(),
            machines: vec![],
            ready: false,
        });
        self.event(EventKind::TrialEnds {
            trial: trial.into(),
            verdict,
            duration: 3.5,
            step: None,
            reason: Some("the kettle is cold".into()),
            evidence: Some("/evidence/q35-tea-6".into()),
            machine: Some(SnapshotOutcome::Kept {
                bytes: 1,
                folder: "/evidence/q35-setup-kettle-7".into(),
            }),
            failed_on: None,
        })
    }
}

/// The log of a run with every kind of outcome.
fn full_log() -> RunLog {
    let mut log = LogBuilder {
        seconds: 1_795_322_000.0,
        ..LogBuilder::default()
    };
    let name = |name: &str| format!("q35::{name}");
    log.event(EventKind::RunBegins {
        trials: ["again", "lost", "never", "passes", "fails", "void"]
            .map(name)
            .into(),
        ignored: vec![("pc::tea".into(), format!("no firmware {HOSTILE}"))],
    });
    log.event(EventKind::Note {
        trial: None,
        text: HOSTILE.into(),
    });
    log.begins("q35::passes").event(boot("q35::passes"));
    log.step("q35::passes", 1, None)
        .ends("q35::passes", Verdict::Passed, None);
    let reason = format!("step 1 of 2 failed: make tea\n  --> tea.yaml:4\n\n{HOSTILE}");
    log.begins("q35::fails")
        .step("q35::fails", 1, Some(HOSTILE));
    log.ends("q35::fails", Verdict::Failed, Some(&reason));
    log.begins("q35::void")
        .ends("q35::void", Verdict::Error, Some("no QEMU"));
    log.begins("q35::again")
        .ends("q35::again", Verdict::Failed, Some("once"));
    log.begins("q35::again")
        .ends("q35::again", Verdict::Passed, None);
    log.begins("q35::lost").event(EventKind::StepBegins {
        trial: "q35::lost".into(),
        step: 1,
        line: 4,
        title: "make tea".into(),
        on: vec![],
    });
    log.event(EventKind::RunEnds { duration: 60.0 });
    let line = |timestamp, text: &str| SerialLine {
        timestamp,
        text: text.into(),
    };
    let excerpt = EvidenceExcerpt {
        serial: vec![line(None, "early"), line(Some(1_795_322_011.0), HOSTILE)],
        cut: 5000,
        pictures: vec![],
    };
    let folder = "/evidence/q35-fails-1795322007".into();
    log.run_log.excerpts.insert(folder, excerpt);
    log.run_log
}

fn boot(trial: &str) -> EventKind {
    let stage = |stage: &str, seconds, budget, error: Option<&str>| BootStage {
        stage: stage.into(),
        seconds,
        budget,
        error: error.map(str::to_owned),
    };
    let timeline = BootTimeline {
        profile: "q35".into(),
        accelerator: "tcg".into(),
        build: "b".into(),
        scale: 1.0,
        evidence: "/evidence/boot".into(),
        ready: true,
        stages: vec![
            stage("init", 2.5, Some(6.0), None),
            stage("state", 3.0, None, Some(HOSTILE)),
            stage("started", 30.0, Some(20.0), None),
        ],
    };
    EventKind::Boot {
        trial: trial.into(),
        on: None,
        timeline,
    }
}

#[test]
fn trial_that_is_left_out_is_skipped_and_no_error() {
    let mut run_log = RunLog::default();
    for kind in [
        EventKind::RunBegins {
            trials: vec!["q35::tea".into()],
            ignored: vec![],
        },
        EventKind::TrialLeftOut {
            trial: "q35::tea".into(),
            reason: "the budget is used up".into(),
        },
        EventKind::RunEnds { duration: 1.0 },
    ] {
        let timestamp = 1.0;
        run_log.add(&Event { timestamp, kind });
    }
    let xml = junit::xml(&run_log).unwrap();
    assert!(xml.contains("<skipped"), "{xml}");
    assert!(!xml.contains("<error"), "{xml}");
}

#[test]
fn outcome_of_a_trial_follows_from_its_events() {
    let run = Run::of(&full_log().events);
    let outcome =
        |result: &super::run::TestResult| format!("{}: {:?}", result.name, result.outcome());
    let outcomes: Vec<_> = run.trials.iter().map(outcome).collect();
    assert_eq!(
        outcomes,
        [
            "pc::tea: Ignored",
            "q35::again: Flaky",
            "q35::fails: Failed",
            "q35::lost: NotEnded",
            "q35::never: NotEnded",
            "q35::passes: Passed",
            "q35::void: Error",
        ]
    );
    assert_eq!(run.count(Outcome::NotEnded), 2);
}

#[test]
fn junit_has_all_verdicts() {
    assert_snapshot!(junit::xml(&full_log()).unwrap());
}

#[test]
fn page_escapes_all_texts() {
    let page = html(&full_log(), &[]);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(
        page.matches("&lt;script&gt;alert('1')&lt;/script&gt; &amp;")
            .count()
            > 8
    );
    assert!(!page.contains("src=\"http") && !page.contains("url("));
}

#[test]
fn page_names_omitted_output_and_steps_that_did_not_run() {
    let page = html(&full_log(), &[]);
    for part in [
        "4 of 6 did not pass",
        "The first 5 KiB are left out here",
        "not run",
        "over budget",
        "Attempt 2: passed",
        "cargo harness replay /evidence/q35-fails-1795322007",
        "href=\"#q35::fails/serial-0\"",
        "id=\"q35::fails/serial-0\"",
    ] {
        assert!(page.contains(part), "`{part}` is not in the page");
    }
}

#[test]
fn page_of_a_trial_has_the_output_of_its_setup() {
    let mut log = LogBuilder::default();
    log.begins("q35::tea").event(EventKind::Setup {
        trial: "q35::tea".into(),
        setup: "kettle".into(),
        evidence: "/evidence/q35-setup-kettle".into(),
        machines: vec![],
        ready: false,
    });
    let run_log = &mut log.step("q35::tea", 0, Some("cold")).run_log;
    let line = SerialLine {
        timestamp: Some(2.0),
        text: "the kettle boils over".into(),
    };
    let excerpt = EvidenceExcerpt {
        serial: vec![line],
        ..EvidenceExcerpt::default()
    };
    let folder = "/evidence/q35-setup-kettle".into();
    run_log.excerpts.insert(folder, excerpt);
    assert!(html(run_log, &[]).contains("the kettle boils over"));
}

#[test]
fn enter_command_names_the_folder_with_the_failure_snapshot() {
    let enter = "cargo harness enter /evidence/q35-setup-kettle-7";
    for verdict in [Verdict::Failed, Verdict::KnownFailure] {
        let mut log = LogBuilder::default();
        let run_log = &log.failed_setup("q35::tea", verdict).run_log;
        let page = html(run_log, &[]);
        assert!(page.contains(&format!("{enter}<")), "{verdict:?}: {page}");
        assert!(page.contains("cargo harness replay /evidence/q35-setup-kettle-7<"));
        let junit = junit::xml(run_log).unwrap();
        let property = r#"name="evidence" value="/evidence/q35-setup-kettle-7""#;
        assert!(junit.contains(property), "{junit}");
    }
    // Without a failure snapshot there is no such command.
    assert!(!html(&full_log(), &[]).contains("cargo harness enter"));
}

#[test]
fn reports_are_complete_when_the_run_was_interrupted() {
    let mut run_log = full_log();
    while run_log.events.pop().is_some() {
        assert!(html(&run_log, &[]).ends_with("</html>"));
        assert!(junit::xml(&run_log).is_ok());
    }
}
