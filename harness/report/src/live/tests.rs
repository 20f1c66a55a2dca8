use indicatif::{InMemoryTerm, ProgressDrawTarget};

use super::*;
use events::{Listeners, StepHead};

fn screen() -> (InMemoryTerm, Live, Listeners) {
    let term = InMemoryTerm::new(12, 100);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 255);
    let bars = MultiProgress::with_draw_target(target);
    let live = Live::new(
        bars,
        std::sync::Arc::new(|_| {}),
        Baseline::default(),
        false,
    );
    let listeners = Listeners::default().with(live.clone());
    (term, live, listeners)
}

fn begins(trial: &str) -> What {
    What::TrialBegins {
        trial: trial.into(),
        about: String::new(),
        file: "scenarios/tea.yaml".into(),
        steps: vec![
            StepHead {
                line: 3,
                what: "boil".into(),
            };
            4
        ],
        evidence: "target/evidence/tea".into(),
    }
}

fn ends(trial: &str, verdict: Verdict, why: Option<&str>) -> What {
    What::TrialEnds {
        trial: trial.into(),
        verdict,
        took: 2.0,
        step: None,
        why: why.map(str::to_owned),
        evidence: None,
        machine: None,
    }
}

#[test]
fn each_machine_has_a_line_until_it_ends() {
    let (term, live, listeners) = screen();
    listeners.tell(What::RunBegins {
        trials: vec!["q35::tea".into(), "q35::milk".into()],
        ignored: vec![],
    });
    listeners.tell(begins("q35::tea"));
    listeners.tell(begins("q35::milk"));
    listeners.tell(What::StepBegins {
        trial: "q35::tea".into(),
        step: 2,
        line: 4,
        what: "boil".into(),
    });
    live.waits("q35::tea", "steam", "cold water\nand more");
    // Drawn at the latest by its next tick.
    for row in live.state().rows.values() {
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

    listeners.tell(ends("q35::tea", Verdict::Red, Some("no tea\nat all")));
    live.state().head.bar().tick();
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
