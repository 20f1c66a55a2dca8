//! Reports of a trial with several machines.

use super::*;

const TRIAL: &str = "q35::kitchen";
const EVIDENCE: &str = "/evidence/q35-kitchen-1";

/// A trial with the machines `stove` and `table`, whose second step failed on `table`.
fn failed(kept: bool) -> RunLog {
    let mut log = LogBuilder::default();
    let head = |title: &str, on: &[&str]| StepHead {
        line: 4,
        title: title.into(),
        on: on.iter().map(|&name| name.to_owned()).collect(),
    };
    let steps = [head("stove: boil", &["stove"]), head("pour", &[])];
    log.event(EventKind::TrialBegins {
        trial: TRIAL.into(),
        about: "Tea is made by two.".into(),
        file: "scenarios/kitchen.yaml".into(),
        steps: steps.to_vec(),
        machines: vec!["stove".into(), "table".into()],
        evidence: EVIDENCE.into(),
    });
    for name in ["stove", "table"] {
        let EventKind::Boot { timeline, .. } = boot(TRIAL) else {
            unreachable!();
        };
        log.event(EventKind::Boot {
            trial: TRIAL.into(),
            on: Some(name.into()),
            timeline: BootTimeline {
                evidence: EVIDENCE.into(),
                ..timeline
            },
        });
    }
    for (number, step) in (1..).zip(steps) {
        log.event(EventKind::StepBegins {
            trial: TRIAL.into(),
            step: number,
            line: step.line,
            title: step.title.clone(),
            on: step.on,
        });
        let failed = number == 2;
        log.event(EventKind::StepEnds {
            trial: TRIAL.into(),
            step: number,
            title: step.title,
            duration: 1.0,
            failure: failed.then(|| "machine table: it is wet".into()),
            failed_on: failed.then(|| "table".into()),
        });
    }
    let snapshot = if kept {
        SnapshotOutcome::Kept {
            bytes: 1,
            folder: EVIDENCE.into(),
        }
    } else {
        SnapshotOutcome::not_kept("the size limit is 0")
    };
    log.event(EventKind::TrialEnds {
        trial: TRIAL.into(),
        verdict: Verdict::Failed,
        duration: 3.0,
        step: Some(2),
        reason: Some("step 2 of 2 failed: pour\n\n  machine table: it is wet".into()),
        evidence: Some(EVIDENCE.into()),
        machine: Some(snapshot),
        failed_on: Some("table".into()),
    });
    for (name, text) in [("stove", "it is hot"), ("table", "it is wet")] {
        let line = SerialLine {
            timestamp: Some(2.0),
            text: text.into(),
        };
        let excerpt = EvidenceExcerpt {
            serial: vec![line],
            ..EvidenceExcerpt::default()
        };
        let folder = format!("{EVIDENCE}/{name}").into();
        log.run_log.excerpts.insert(folder, excerpt);
    }
    log.run_log
}

#[test]
fn page_has_a_console_for_each_machine_and_names_the_one_that_failed() {
    let page = html(&failed(false), &[]);
    for part in [
        "on machine <strong>table</strong>",
        "Serial console of stove",
        "Serial console of table",
        "it is hot",
        "Boot timeline of stove",
        "Boot timeline of table",
        "id=\"q35::kitchen/serial-stove-0\"",
        "id=\"q35::kitchen/serial-table-1\"",
        // The output of the machine that a step is about, or that failed.
        "href=\"#q35::kitchen/serial-stove-0\"",
        "href=\"#q35::kitchen/serial-table-1\"",
    ] {
        assert!(page.contains(part), "`{part}` is not in the page: {page}");
    }
    assert!(!page.contains("cargo harness enter"));
    // Only one of the consoles has the failure.
    assert_eq!(page.matches("pour ✗ failed").count(), 1);
}

#[test]
fn page_enters_all_machines_or_the_one_that_failed() {
    let page = html(&failed(true), &[]);
    for option in ["", " --machine table"] {
        let line = format!("cargo harness enter {EVIDENCE}{option}<");
        assert_eq!(page.matches(&line).count(), 1, "{line}: {page}");
    }
}

/// The log with a setup before the steps: on one machine, or on these.
fn with_setup(machines: &[&str]) -> RunLog {
    let mut run_log = failed(false);
    let evidence = "/evidence/q35-setup-kettle-1";
    let setup = Event {
        timestamp: 2.0,
        kind: EventKind::Setup {
            trial: TRIAL.into(),
            setup: "kettle".into(),
            evidence: evidence.into(),
            machines: machines.iter().map(|&name| name.to_owned()).collect(),
            ready: true,
        },
    };
    run_log.events.insert(1, setup);
    let mut add = |folder: String| {
        let line = SerialLine {
            timestamp: Some(1.0),
            text: format!("from {folder}"),
        };
        let excerpt = EvidenceExcerpt {
            serial: vec![line],
            ..EvidenceExcerpt::default()
        };
        run_log.excerpts.insert(folder.into(), excerpt);
    };
    if machines.is_empty() {
        add(evidence.to_owned());
    }
    for name in machines {
        add(format!("{evidence}/{name}"));
    }
    run_log
}

#[test]
fn page_shows_the_machine_that_all_were_forked_from() {
    let page = html(&with_setup(&[]), &[]);
    assert!(page.contains("Serial console of the machine that they were forked from"));
    assert_eq!(page.matches("<h4>Serial console").count(), 3);
}

#[test]
fn console_begins_with_that_of_the_machine_that_was_saved() {
    let page = html(&with_setup(&["stove", "table"]), &[]);
    assert_eq!(page.matches("<h4>Serial console").count(), 2);
    for name in ["stove", "table"] {
        let begin = page.find(&format!("<h4>Serial console of {name}")).unwrap();
        let saved = format!("from /evidence/q35-setup-kettle-1/{name}");
        assert!(page[begin..].find(&saved).is_some(), "{saved}: {page}");
        assert_eq!(page.matches(&saved).count(), 1);
    }
}

#[test]
fn junit_has_the_machines_and_their_consoles() {
    let xml = junit::xml(&failed(false)).unwrap();
    for part in [
        r#"<property name="machines" value="stove table"/>"#,
        r#"<property name="failed-on" value="table"/>"#,
        "==&gt; stove &lt;==\nit is hot\n==&gt; table &lt;==\nit is wet",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
}

#[test]
fn events_have_the_machines_and_leave_them_out_if_there_is_one() {
    let text = |run_log: RunLog| {
        let line = |event: &Event| serde_json::to_string(event).unwrap();
        run_log
            .events
            .iter()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let of_two = text(failed(false));
    for part in [
        r#""machines":["stove","table"]"#,
        r#""on":["stove"]"#,
        r#""on":"table""#,
        r#""failed_on":"table""#,
    ] {
        assert!(of_two.contains(part), "{part}: {of_two}");
    }
    let of_one = text(full_log());
    for key in ["machines", "on", "failed_on"] {
        assert!(!of_one.contains(&format!("\"{key}\":")), "{key}: {of_one}");
    }
}
