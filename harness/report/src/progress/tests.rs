use indicatif::{InMemoryTerm, ProgressDrawTarget};

use super::*;
use events::{Listeners, StepHead};

fn screen() -> (InMemoryTerm, ProgressReporter, Listeners) {
    let term = InMemoryTerm::new(12, 100);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
    let bars = MultiProgress::with_draw_target(target);
    let reporter = ProgressReporter::new(
        bars,
        std::sync::Arc::new(|_| {}),
        Baseline::default(),
        false,
    );
    let listeners = Listeners::default().with(reporter.clone());
    (term, reporter, listeners)
}

fn begins(trial: &str) -> EventKind {
    EventKind::TrialBegins {
        trial: trial.into(),
        about: String::new(),
        file: "scenarios/tea.yaml".into(),
        steps: vec![
            StepHead {
                line: 3,
                title: "boil".into(),
                on: vec![],
            };
            4
        ],
        machines: vec![],
        evidence: "target/evidence/tea".into(),
    }
}

fn ends(trial: &str, verdict: Verdict, reason: Option<&str>) -> EventKind {
    EventKind::TrialEnds {
        trial: trial.into(),
        verdict,
        duration: 2.0,
        step: None,
        reason: reason.map(str::to_owned),
        evidence: None,
        machine: None,
        failed_on: None,
    }
}

#[test]
fn progress_has_a_line_per_machine_until_its_trial_ends() {
    let (term, reporter, listeners) = screen();
    listeners.emit(EventKind::RunBegins {
        trials: vec!["q35::tea".into(), "q35::milk".into()],
        ignored: vec![],
    });
    listeners.emit(begins("q35::tea"));
    listeners.emit(begins("q35::milk"));
    listeners.emit(EventKind::StepBegins {
        trial: "q35::tea".into(),
        step: 2,
        line: 4,
        title: "boil".into(),
        on: vec![],
    });
    reporter.waits("q35::tea", "steam", "cold water\nand more");
    // A tick draws the lines.
    for row in reporter.state().rows.values() {
        row.bar().tick();
    }
    let seen = term.contents();
    assert!(seen.contains("q35::tea"), "{seen}");
    assert!(
        seen.contains("2/4 boil · waits for steam: cold water"),
        "{seen}"
    );
    assert!(seen.contains("0 of 2 done, 2 running"), "{seen}");
    assert!(!seen.contains("and more"), "{seen}");

    listeners.emit(ends("q35::tea", Verdict::Failed, Some("no tea\nat all")));
    reporter.state().head.bar().tick();
    let seen = term.contents();
    assert!(
        seen.contains("FAILED q35::tea (2.0 s)\n  no tea\n  at all"),
        "{seen}"
    );
    assert!(!seen.contains("2/4 boil"), "{seen}");
    assert!(
        seen.contains("1 of 2 done, 1 not passed, 1 running"),
        "{seen}"
    );
}

#[test]
fn progress_names_the_machines_of_a_trial() {
    let (term, reporter, listeners) = screen();
    let mut kitchen = begins("q35::kitchen");
    if let EventKind::TrialBegins { machines, .. } = &mut kitchen {
        *machines = vec!["stove".into(), "table".into()];
    }
    listeners.emit(kitchen);
    for row in reporter.state().rows.values() {
        row.bar().tick();
    }
    let seen = term.contents();
    assert!(seen.contains("q35::kitchen (stove, table)"), "{seen}");
}
