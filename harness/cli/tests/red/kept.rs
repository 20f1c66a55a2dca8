//! The machine of a red trial comes back as it stood, as often as one likes; the trial itself runs
//! again from its evidence.

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
use machine::{Login, Machine, Ssh};
use runner::evidence::Evidence;
use runner::trial::{Ended, Failure, Past, Settings};
use serde_json::{Value, json};

/// Long enough for any host; what is waited for comes sooner.
const LONG: Duration = Duration::from_secs(180);

/// Looks at the evidence folder of a trial that was red at a step, or before the first one.
pub async fn is_kept(folder: &Path, step: Option<usize>, artifacts: &Artifacts) {
    let past = Past::open(folder).unwrap();
    let red = Ended {
        verdict: Verdict::Failed,
        step,
    };
    assert_eq!(past.ended(), Some(red));
    let elsewhere = tempfile::tempdir().unwrap();
    let evidence = Evidence::begin(elsewhere.path(), "enter").unwrap();
    for paused in [false, true] {
        let machine = enter(&past, artifacts, paused, &evidence).await.unwrap();
        it_is_that_machine(&past, &machine, paused).await;
        machine.stop().await;
    }
    what_is_damaged_is_told(&past, artifacts, &evidence).await;
    it_is_red_again(&past, step, artifacts, elsewhere.path()).await;
}

async fn enter(
    past: &Past,
    artifacts: &Artifacts,
    paused: bool,
    evidence: &Evidence,
) -> Result<Machine, String> {
    let kept = past.machine()?;
    let initrd = Some(artifacts.initrd.as_path());
    let entered = Machine::restore(&kept, &artifacts.kernel, initrd, paused, evidence.logs()).await;
    entered.map_err(|error| error.to_string())
}

/// The same boot, the same process, the file as it was: what is done to it here stays here.
async fn it_is_that_machine(past: &Past, machine: &Machine, paused: bool) {
    if paused {
        let status = machine.qmp("query-status", Value::Null).await.unwrap();
        assert_eq!(status["running"], json!(false));
        machine.resume().await.unwrap();
    }
    let key = past.key().unwrap();
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

async fn what_is_damaged_is_told(past: &Past, artifacts: &Artifacts, evidence: &Evidence) {
    let machine = past.left().join("machine");
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

/// Under a limit that its machine does not fit in, which changes no verdict and leaves nothing.
async fn it_is_red_again(
    past: &Past,
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
        usual: Baseline::default(),
    };
    let given = past.artifacts(given, &tree, false).unwrap();
    let again = trial.run(&given, &settings).await;
    let Err(Failure::Failed(red)) = again else {
        panic!("expected a red verdict, got {again:?}")
    };
    assert_eq!(red.step, step);
    assert!(red.text.contains("exceeds the size limit"), "{}", red.text);
    let mut left = std::fs::read_dir(&settings.evidence).unwrap();
    let left = Past::open(&left.next().unwrap().unwrap().path()).unwrap();
    let why = left.machine().unwrap_err();
    assert!(
        why.contains("exceeds the size limit") && why.contains("harness replay"),
        "{why}"
    );
    for name in ["machine", "machine.part"] {
        assert!(!left.folder().join(name).exists(), "{name}");
    }
}
