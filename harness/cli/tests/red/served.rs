//! `harness replay` of a trial with a registry requires the recorded images, unless `--any-artifacts` is
//! given.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use events::Baseline;
use events::Listeners;
use harness::artifacts::Artifacts;
use runner::trial::{Failure, Settings, Trial};
use serde_json::{Value, json};

use crate::tree;

/// Uses a kernel that QEMU rejects immediately: the test is about the checks before the machine starts.
pub(crate) fn check(trial: &Trial) {
    let parent = tempfile::tempdir().unwrap();
    let none = parent.path().join("none");
    std::fs::write(&none, "no kernel").unwrap();
    let evidence = evidence(trial, &none, &parent.path().join("evidence"));

    let same = replay(&evidence, &[]);
    let stderr = String::from_utf8_lossy(&same.stderr);
    assert!(
        same.status.code() == Some(3) && stderr.contains("QEMU did not start"),
        "{stderr}"
    );

    let record = evidence.join("replay/replay.json");
    let mut other: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    let images = other["images"].as_object().unwrap();
    assert_eq!(images.len(), 1, "{images:?}");
    let name = images.keys().next().unwrap().clone();
    other["images"][&name] = json!("what was served then");
    std::fs::write(&record, other.to_string()).unwrap();
    let refused = replay(&evidence, &[]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    let wanted = format!("{name} has different content");
    let explained = stderr.contains(&wanted) && stderr.contains("--any-artifacts");
    assert!(refused.status.code() == Some(3) && explained, "{stderr}");
    assert!(!stderr.contains("QEMU did not start"), "{stderr}");

    let any = replay(&evidence, &["--any-artifacts"]);
    let stderr = String::from_utf8_lossy(&any.stderr);
    assert!(
        any.status.code() == Some(3) && stderr.contains("QEMU did not start"),
        "{stderr}"
    );
}

/// Runs the trial and returns its evidence folder.
fn evidence(trial: &Trial, kernel: &Path, evidence: &Path) -> PathBuf {
    let artifacts = Artifacts {
        kernel: kernel.into(),
        initrd: kernel.into(),
    };
    let settings = Settings {
        evidence: evidence.into(),
        keep: false,
        seed: None,
        listeners: Listeners::default(),
        checkpoints: None,
        baseline: Baseline::default(),
        machine_limit: 0,
    };
    let runtime = harness::runtime::new().unwrap();
    let ended = runtime.block_on(trial.run(&artifacts, &settings));
    assert!(
        matches!(ended, Err(Failure::Infrastructure(_))),
        "{ended:?}"
    );
    let mut left = evidence.read_dir().unwrap();
    left.next().unwrap().unwrap().path()
}

/// Replays in a tree that shares the images of this one.
fn replay(evidence: &Path, more: &[&str]) -> Output {
    let tree = tree::with(&["images", "target/images"]);
    let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
    harness.arg("replay").arg(evidence).args(more);
    harness.current_dir(tree.path()).output().unwrap()
}
