use insta::assert_snapshot;

use super::excerpt::{EvidenceExcerpt, Said};
use super::run::{Outcome, Run};
use super::run_log::RunLog;
use super::{html, junit};
use events::SnapshotOutcome;
use events::{BootStage, BootTimeline};
use events::{Event, EventKind, StepHead, Verdict};

/// What every text of a machine or a file might hold.
const HOSTILE: &str = "<script>alert('1')</script> & \"\u{1b}[1m\"";

/// A run in the making.
#[derive(Default)]
struct Told {
    at: f64,
    run_log: RunLog,
}

impl Told {
    fn tell(&mut self, what: EventKind) -> &mut Self {
        self.at += 1.0;
        self.run_log.events.push(Event {
            timestamp: self.at,
            kind: what,
        });
        self
    }

    fn begins(&mut self, trial: &str) -> &mut Self {
        let heads = ["fill the kettle", "make tea"];
        let heads = heads.map(|what| StepHead {
            line: 4,
            title: what.into(),
        });
        self.tell(EventKind::TrialBegins {
            trial: trial.into(),
            about: format!("Tea can be made. {HOSTILE}"),
            file: "scenarios/tea.yaml".into(),
            steps: heads.into(),
            evidence: format!("/evidence/{}-{}", trial.replace("::", "-"), self.at).into(),
        })
    }

    fn step(&mut self, trial: &str, step: usize, fault: Option<&str>) -> &mut Self {
        let what = || format!("step {step} {HOSTILE}");
        self.tell(EventKind::StepBegins {
            trial: trial.into(),
            step,
            line: 4,
            title: what(),
        });
        self.tell(EventKind::StepEnds {
            trial: trial.into(),
            step,
            title: what(),
            duration: 1.0,
            failure: fault.map(str::to_owned),
        })
    }

    fn ends(&mut self, trial: &str, verdict: Verdict, why: Option<&str>) -> &mut Self {
        let red = verdict == Verdict::Failed;
        self.tell(EventKind::TrialEnds {
            trial: trial.into(),
            verdict,
            duration: 3.5,
            step: red.then_some(1),
            reason: why.map(str::to_owned),
            evidence: why.map(|_| "/evidence".into()),
            machine: red.then(|| SnapshotOutcome::NotKept {
                reason: "the limit is 0".into(),
            }),
        })
    }

    /// A trial that was red in a setup, whose machine is kept.
    fn red_setup(&mut self, trial: &str, verdict: Verdict) -> &mut Self {
        self.begins(trial).tell(EventKind::Setup {
            trial: trial.into(),
            setup: "kettle".into(),
            evidence: "/evidence/q35-setup-kettle-7".into(),
            ready: false,
        });
        self.tell(EventKind::TrialEnds {
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
        })
    }
}

/// A run in which all happens that can.
fn told() -> RunLog {
    let mut told = Told {
        at: 1_795_322_000.0,
        ..Told::default()
    };
    let name = |name: &str| format!("q35::{name}");
    told.tell(EventKind::RunBegins {
        trials: ["again", "lost", "never", "passes", "red", "void"]
            .map(name)
            .into(),
        ignored: vec![("pc::tea".into(), format!("no firmware {HOSTILE}"))],
    });
    told.tell(EventKind::Note {
        trial: None,
        text: HOSTILE.into(),
    });
    told.begins("q35::passes").tell(boot("q35::passes"));
    told.step("q35::passes", 1, None)
        .ends("q35::passes", Verdict::Passed, None);
    let why = format!("q35::red: step 1 of 2 failed: make tea\n  --> tea.yaml:4\n\n{HOSTILE}");
    told.begins("q35::red").step("q35::red", 1, Some(HOSTILE));
    told.ends("q35::red", Verdict::Failed, Some(&why));
    told.begins("q35::void")
        .ends("q35::void", Verdict::Error, Some("no QEMU"));
    told.begins("q35::again")
        .ends("q35::again", Verdict::Failed, Some("q35::again: once"));
    told.begins("q35::again")
        .ends("q35::again", Verdict::Passed, None);
    told.begins("q35::lost").tell(EventKind::StepBegins {
        trial: "q35::lost".into(),
        step: 1,
        line: 4,
        title: "make tea".into(),
    });
    told.tell(EventKind::RunEnds { duration: 60.0 });
    let said = |at, text: &str| Said {
        at,
        text: text.into(),
    };
    let excerpts = EvidenceExcerpt {
        serial: vec![said(None, "early"), said(Some(1_795_322_011.0), HOSTILE)],
        cut: 5000,
        pictures: vec![],
    };
    let red = "/evidence/q35-red-1795322007".into();
    told.run_log.excerpts.insert(red, excerpts);
    told.run_log
}

fn boot(trial: &str) -> EventKind {
    let rung = |stage: &str, seconds, budget, error: Option<&str>| BootStage {
        stage: stage.into(),
        seconds,
        budget,
        error: error.map(str::to_owned),
    };
    let ladder = BootTimeline {
        profile: "q35".into(),
        accelerator: "tcg".into(),
        build: "b".into(),
        scale: 1.0,
        evidence: "/evidence/boot".into(),
        ready: true,
        stages: vec![
            rung("init", 2.5, Some(6.0), None),
            rung("state", 3.0, None, Some(HOSTILE)),
            rung("started", 30.0, Some(20.0), None),
        ],
    };
    EventKind::Boot {
        trial: trial.into(),
        timeline: ladder,
    }
}

#[test]
fn each_trial_has_the_outcome_that_its_events_tell() {
    let run = Run::of(&told().events);
    let outcome = |tried: &super::run::TestResult| format!("{}: {:?}", tried.name, tried.outcome());
    let outcomes: Vec<_> = run.trials.iter().map(outcome).collect();
    assert_eq!(
        outcomes,
        [
            "pc::tea: Ignored",
            "q35::again: Flaky",
            "q35::lost: NotEnded",
            "q35::never: NotEnded",
            "q35::passes: Passed",
            "q35::red: Red",
            "q35::void: NoVerdict",
        ]
    );
    assert_eq!(run.count(Outcome::NotEnded), 2);
}

#[test]
fn junit_tells_all_verdicts() {
    assert_snapshot!(junit::xml(&told()).unwrap());
}

#[test]
fn nothing_that_was_said_is_markup_of_the_page() {
    let page = html(&told(), &[]);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(
        page.matches("&lt;script&gt;alert('1')&lt;/script&gt; &amp;")
            .count()
            > 8
    );
    assert!(!page.contains("src=\"http") && !page.contains("url("));
}

#[test]
fn the_page_says_what_is_left_out_and_what_did_not_run() {
    let page = html(&told(), &[]);
    for part in [
        "4 of 6 did not pass",
        "The first 5 KiB are left out here",
        "not run",
        "over budget",
        "Attempt 2: passed",
        "cargo harness replay /evidence/q35-red-1795322007",
        "href=\"#q35::red/serial-0\"",
        "id=\"q35::red/serial-0\"",
    ] {
        assert!(page.contains(part), "`{part}` is not in the page");
    }
}

#[test]
fn what_the_machine_of_a_setup_said_is_the_trials_too() {
    let mut told = Told::default();
    told.begins("q35::tea").tell(EventKind::Setup {
        trial: "q35::tea".into(),
        setup: "kettle".into(),
        evidence: "/evidence/q35-setup-kettle".into(),
        ready: false,
    });
    let run_log = &mut told.step("q35::tea", 0, Some("cold")).run_log;
    let said = Said {
        at: Some(2.0),
        text: "the kettle boils over".into(),
    };
    let excerpts = EvidenceExcerpt {
        serial: vec![said],
        ..EvidenceExcerpt::default()
    };
    let folder = "/evidence/q35-setup-kettle".into();
    run_log.excerpts.insert(folder, excerpts);
    assert!(html(run_log, &[]).contains("the kettle boils over"));
}

#[test]
fn who_would_enter_a_machine_is_sent_where_it_is_kept() {
    let enter = "cargo harness enter /evidence/q35-setup-kettle-7";
    for verdict in [Verdict::Failed, Verdict::KnownFailure] {
        let mut told = Told::default();
        let run_log = &told.red_setup("q35::tea", verdict).run_log;
        let page = html(run_log, &[]);
        assert!(page.contains(&format!("{enter}<")), "{verdict:?}: {page}");
        assert!(page.contains("cargo harness replay /evidence/q35-setup-kettle-7<"));
        let junit = junit::xml(run_log).unwrap();
        let property = r#"name="evidence" value="/evidence/q35-setup-kettle-7""#;
        assert!(junit.contains(property), "{junit}");
    }
    // Nobody is sent where there is none.
    assert!(!html(&self::told(), &[]).contains("cargo harness enter"));
}

#[test]
fn of_a_run_that_was_cut_off_there_is_a_page_too() {
    let mut run_log = told();
    while run_log.events.pop().is_some() {
        assert!(html(&run_log, &[]).ends_with("</html>"));
        assert!(junit::xml(&run_log).is_ok());
    }
}
