//! The failure snapshot of a trial can be restored any number of times, and the trial can be replayed
//! from its evidence.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use events::Baseline;
use events::{Listeners, Verdict};
use harness::artifacts::Artifacts;
use harness::project::{self, Project};
use machine::{Login, Machine, RestoreOptions, Ssh};
use runner::evidence::Evidence;
use runner::replay::{PastOutcome, PastTrial};
use runner::trial::{Failure, Settings};
use serde_json::{Value, json};

/// Long enough for any host; the awaited events come sooner.
const LONG: Duration = Duration::from_secs(180);

/// Checks the evidence folder of a trial that failed at a step, or before the first step.
pub(crate) async fn check(folder: &Path, step: Option<usize>, artifacts: &Artifacts) {
    let past = PastTrial::open(folder).unwrap();
    let failed = PastOutcome {
        verdict: Verdict::Failed,
        step,
        failed_on: None,
    };
    assert_eq!(past.ended(), Some(failed));
    let elsewhere = tempfile::tempdir().unwrap();
    let evidence = Evidence::begin(elsewhere.path(), "enter").unwrap();
    for paused in [false, true] {
        let machine = enter(&past, artifacts, paused, &evidence).await.unwrap();
        check_machine(&past, &machine, paused).await;
        machine.stop().await;
    }
    check_damage(&past, artifacts, &evidence).await;
    check_replay(&past, step, artifacts, elsewhere.path()).await;
}

async fn enter(
    past: &PastTrial,
    artifacts: &Artifacts,
    paused: bool,
    evidence: &Evidence,
) -> Result<Machine, String> {
    let snapshot = past.machine(None).map_err(|why| why.to_string())?;
    let initrd = Some(artifacts.initrd.as_path());
    let options = RestoreOptions {
        paused,
        ..RestoreOptions::new(&artifacts.kernel, initrd)
    };
    let entered = Machine::restore(&snapshot, options, evidence.logs()).await;
    entered.map_err(|error| error.to_string())
}

/// The restored machine has the same boot, process and file. Changes do not affect the snapshot.
async fn check_machine(past: &PastTrial, machine: &Machine, paused: bool) {
    if paused {
        let status = machine.qmp("query-status", Value::Null).await.unwrap();
        assert_eq!(status["running"], json!(false));
        machine.resume().await.unwrap();
    }
    let key = past.key(None).unwrap();
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let login = Login::Key {
        user: "rancher".into(),
        private_key: std::fs::read_to_string(key).unwrap(),
    };
    let ssh = machine.ssh(&login, LONG).await.unwrap();
    let boot = printed(&ssh, "cat /proc/sys/kernel/random/boot_id").await;
    assert_eq!(printed(&ssh, "cat note").await, boot);
    printed(&ssh, "kill -0 $(cat pid)").await;
    printed(&ssh, "echo changed > note; kill $(cat pid)").await;
}

async fn printed(ssh: &Ssh, command: &str) -> String {
    let output = ssh.run(command, LONG).await.unwrap();
    assert_eq!(output.exit, Some(0), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn check_damage(past: &PastTrial, artifacts: &Artifacts, evidence: &Evidence) {
    let machine = past.snapshot_folder().join("machine");
    let why = async || enter(past, artifacts, false, evidence).await.err().unwrap();
    let about = machine.join("machine.json");
    let text = std::fs::read_to_string(&about).unwrap();
    let mut other: Value = serde_json::from_str(&text).unwrap();
    other["qemu"] = json!("1.2.3 (of another host)");
    std::fs::write(&about, other.to_string()).unwrap();
    let said = why().await;
    assert!(
        said.contains("QEMU 1.2.3 (of another host) made it"),
        "{said}"
    );
    std::fs::write(&about, text).unwrap();

    let state = File::options()
        .write(true)
        .open(machine.join("state.zst"))
        .unwrap();
    let length = state.metadata().unwrap().len();
    state.write_all_at(&[0x55; 4096], length / 2).unwrap();
    let said = why().await;
    assert!(said.contains("state.zst: "), "{said}");

    state.set_len(length - 1).unwrap();
    let said = why().await;
    let cut = format!("has {} bytes; expected {length}", length - 1);
    assert!(
        said.contains(&cut) && said.contains("harness replay"),
        "{said}"
    );
}

/// Replays the trial with a size limit that its snapshot exceeds, which changes no verdict and leaves no files.
async fn check_replay(
    past: &PastTrial,
    step: Option<usize>,
    artifacts: &Artifacts,
    elsewhere: &Path,
) {
    let (trial, cold) = past.trial(&project::find()).unwrap();
    assert!(!cold, "machines could be forked");
    let tree = Project::at(elsewhere);
    let given = Some(artifacts.clone());
    let found = past.artifacts(None, &tree, false).unwrap();
    assert_eq!(
        found.initrd.canonicalize().unwrap(),
        artifacts.initrd.canonicalize().unwrap()
    );
    let other = Artifacts {
        initrd: artifacts.kernel.clone(),
        ..artifacts.clone()
    };
    let why = past.artifacts(Some(other), &tree, false).unwrap_err();
    let why = why.to_string();
    assert!(
        why.contains("the initrd") && why.contains("--any-artifacts"),
        "{why}"
    );

    let settings = Settings {
        seed: None,
        evidence: elsewhere.join("again"),
        keep: false,
        listeners: Listeners::default(),
        checkpoints: None,
        machine_limit: 1 << 20,
        baseline: Baseline::default(),
    };
    let given = past.artifacts(given, &tree, false).unwrap();
    let again = trial.run(&given, &settings).await;
    let Err(Failure::Failed(failed)) = again else {
        panic!("expected a failed verdict, got {again:?}")
    };
    assert_eq!(failed.step, step);
    assert!(
        failed.text.contains("exceeds the size limit"),
        "{}",
        failed.text
    );
    let mut left = std::fs::read_dir(&settings.evidence).unwrap();
    let left = PastTrial::open(&left.next().unwrap().unwrap().path()).unwrap();
    let why = left.machine(None).unwrap_err().to_string();
    assert!(
        why.contains("exceeds the size limit") && why.contains("harness replay"),
        "{why}"
    );
    for name in ["machine", "machine.part"] {
        assert!(!left.folder().join(name).exists(), "{name}");
    }
}
