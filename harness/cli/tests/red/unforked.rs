//! A trial whose machine cannot be forked reports the reason once and leaves no evidence that looks like a
//! killed trial.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use events::Baseline;
use events::{Event, EventKind, Listener, Listeners, Verdict};
use harness::artifacts::Artifacts;
use machine::profile::{Accel, Profile};
use runner::provision::CheckpointStore;
use runner::replay::PastTrial;
use runner::trial::{Failure, Settings, Trial};
use scenario::Scenario;

/// A listener that records notes.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Listener for Notes {
    fn on_event(&self, event: &Event) {
        if let EventKind::Note {
            trial: Some(trial),
            text,
        } = &event.kind
        {
            self.0.lock().unwrap().push(format!("{trial}: {text}"));
        }
    }
}

/// Runs two profiles twice each, one of which supports saving, with a kernel that QEMU rejects immediately.
pub(crate) fn check(q35: &Profile, nvme: &Profile, scenario: &Scenario) {
    let parent = tempfile::tempdir().unwrap();
    let file = |name: &str| parent.path().join(name);
    std::fs::write(file("none"), "no kernel").unwrap();
    let artifacts = Artifacts {
        kernel: file("none"),
        initrd: file("none"),
    };
    let notes = Notes::default();
    let settings = Settings {
        evidence: file("evidence"),
        keep: false,
        seed: None,
        listeners: Listeners::default().with(notes.clone()),
        checkpoints: Some(CheckpointStore::new(file("checkpoints"))),
        baseline: Baseline::default(),
        machine_limit: 0,
    };
    let runtime = harness::runtime::new().unwrap();
    for profile in [q35, q35, nvme, nvme] {
        let mut profile = profile.clone();
        profile.accel = Accel::Tcg;
        let trial = Trial {
            profile,
            scenario: Arc::new(scenario.clone()),
            project: harness::project::find(),
        };
        let ended = runtime.block_on(trial.run(&artifacts, &settings));
        assert!(
            matches!(ended, Err(Failure::Infrastructure(_))),
            "{ended:?}"
        );
    }
    let notes = notes.0.lock().unwrap().clone();
    let [refused, nvme] = &notes[..] else {
        panic!("expected two reasons: {notes:?}")
    };
    assert!(
        refused.starts_with("q35::") && refused.contains("cannot be forked: QEMU did not start"),
        "{refused}"
    );
    assert!(
        nvme.starts_with("q35-nvme::") && nvme.contains("cannot save a machine with NVMe"),
        "{nvme}"
    );
    check_evidence(&settings.evidence);
}

/// Checks that no folder looks like a killed trial, and that none belongs to a machine that cannot be saved.
fn check_evidence(evidence: &Path) {
    let folders = std::fs::read_dir(evidence).unwrap();
    let folders: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    // Four trials, and the checkpoints that two of them tried to create.
    assert_eq!(folders.len(), 6, "{folders:?}");
    for folder in folders {
        let ended = PastTrial::open(&folder).unwrap().ended();
        let verdict = ended.map(|ended| ended.verdict);
        assert_eq!(verdict, Some(Verdict::Error), "{}", folder.display());
    }
}
