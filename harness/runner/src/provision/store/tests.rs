use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::FlockArg;
use serde_json::{Value, json};

use super::super::key::CheckpointKey;
use super::folder::{KEY, begin};
use super::written::{BOOT, MARK};
use super::*;
use base::lock;
use base::wait::{Poll, wait_until};
use machine::KeyPair;

/// Writes the smallest valid checkpoint.
fn make(folder: &Path) -> io::Result<KeyPair> {
    let about = json!({ "nonces": [], "host_key": [], "reported_boot": true, "drives": [], "lengths": [["part", 4]] });
    std::fs::write(folder.join("part"), "1234")?;
    std::fs::write(folder.join("machine.json"), about.to_string())?;
    Ok(KeyPair::generate())
}

/// No other process holds the lock in these tests.
const TIMEOUT: Duration = Duration::from_secs(60);

fn key(inputs: Value) -> CheckpointKey {
    let label = "a test".into();
    CheckpointKey {
        label,
        machines: vec![],
        inputs,
    }
}

async fn get_or_create(
    store: &CheckpointStore,
    inputs: &Value,
    made: &std::cell::Cell<u32>,
) -> CheckpointLease {
    let make = async |folder: &Path| {
        made.set(made.get() + 1);
        Ok(make(folder)?)
    };
    let key = key(inputs.clone());
    store
        .get_or_create::<StoreError>(&key, TIMEOUT, make)
        .await
        .unwrap()
}

#[tokio::test]
async fn get_or_create_reuses_a_complete_checkpoint_and_recreates_an_incomplete_one() {
    let parent = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(parent.path().join("checkpoints"));
    let (made, inputs) = (std::cell::Cell::new(0), json!({ "kernel": "one" }));
    let first = get_or_create(&store, &inputs, &made).await;
    let second = get_or_create(&store, &inputs, &made).await;
    assert_eq!((made.get(), &first.keys.private), (1, &second.keys.private));
    drop((first, second));

    let listed = store.list().remove(0);
    assert_eq!(listed.key.unwrap().inputs, inputs);
    let folder = parent.path().join("checkpoints").join(listed.name);
    let mode = folder.join(KEY).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(folder.join("part"), "12").unwrap();
    drop(get_or_create(&store, &inputs, &made).await);
    std::fs::remove_file(folder.join(KEY)).unwrap();
    drop(get_or_create(&store, &inputs, &made).await);
    assert_eq!(made.get(), 3);
    drop(get_or_create(&store, &json!({ "kernel": "two" }), &made).await);
    assert_eq!((made.get(), store.list().len()), (4, 2));
}

#[tokio::test]
async fn remove_spares_a_checkpoint_in_use_and_a_failed_creation_leaves_no_folder() {
    let parent = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(parent.path().to_owned());
    let made = std::cell::Cell::new(0);
    let held = get_or_create(&store, &json!(1), &made).await;
    let name = store.list()[0].name.clone();
    assert!(!store.remove(&name));
    drop(held);
    assert!(store.remove(&name) && store.list().is_empty());

    let fail = async |_: &Path| Err(io::Error::other("no boot").into());
    let failed = store
        .get_or_create::<StoreError>(&key(json!(2)), TIMEOUT, fail)
        .await
        .err()
        .unwrap();
    assert!(failed.to_string().contains("no boot") && store.list().is_empty());
}

fn why_not(store: &CheckpointStore, inputs: &Value) -> String {
    match store.explain(&key(inputs.clone())) {
        Explained::Damaged { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn explain_reports_an_incomplete_checkpoint_and_the_next_creation_removes_it() {
    let parent = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(parent.path().to_owned());
    let (made, cut) = (std::cell::Cell::new(0), json!("cut"));
    drop(get_or_create(&store, &cut, &made).await);
    assert!(matches!(
        store.explain(&key(cut.clone())),
        Explained::Exists(_)
    ));
    let folder = parent.path().join(key(cut.clone()).name());
    std::fs::write(folder.join("part"), "12").unwrap();
    let why = why_not(&store, &cut);
    assert!(why.contains("has 2 bytes; expected 4"), "{why}");

    // The state after the creating process was killed; its lock is released.
    let half = json!("half");
    let folder = parent.path().join(key(half.clone()).name());
    begin(&folder, &key(half.clone())).unwrap();
    std::fs::write(folder.join("memory"), "much").unwrap();
    std::fs::write(store.lock_file(&key(half.clone()).name()), "1").unwrap();
    let why = why_not(&store, &half);
    assert!(why.contains("machine.json"), "{why}");

    let next = json!("next");
    let make = async |folder: &Path| {
        let pid = std::process::id();
        assert_eq!(why_not(&store, &next), format!("pid {pid} is creating it"));
        Ok(make(folder)?)
    };
    let wanted = key(next.clone());
    let created = store.get_or_create::<StoreError>(&wanted, TIMEOUT, make);
    drop(created.await.unwrap());
    let left: Vec<_> = store.list().into_iter().map(|one| one.name).collect();
    assert_eq!(left, [wanted.name()]);
}

#[tokio::test]
async fn get_or_create_recreates_a_checkpoint_that_a_host_reboot_may_have_damaged() {
    let parent = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(parent.path().to_owned());
    let (made, inputs) = (std::cell::Cell::new(0), json!("kettle"));
    drop(get_or_create(&store, &inputs, &made).await);
    let folder = parent.path().join(key(inputs.clone()).name());
    let marked = async || {
        if folder.join(MARK).exists() {
            Poll::Ready(())
        } else {
            Poll::NotYet("no mark".to_owned())
        }
    };
    wait_until("the mark", TIMEOUT, marked).await.unwrap();
    std::fs::write(folder.join(BOOT), "another boot id").unwrap();
    drop(get_or_create(&store, &inputs, &made).await);
    assert_eq!(made.get(), 1);

    std::fs::remove_file(folder.join(MARK)).unwrap();
    let why = why_not(&store, &inputs);
    assert!(why.contains("before the host rebooted"), "{why}");
    drop(get_or_create(&store, &inputs, &made).await);
    assert_eq!(made.get(), 2);
}

#[tokio::test]
async fn get_or_create_times_out_and_names_the_creating_process() {
    let parent = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(parent.path().to_owned());
    let name = key(json!(1)).name();
    let file = store.lock_file(&name);
    let mut held = lock::take(&file, FlockArg::LockExclusive).unwrap();
    lock::sign(&mut held).unwrap();
    let limit = Duration::from_millis(50);
    let never = async |_: &Path| panic!("another process creates it");
    let key = key(json!(1));
    let late = store.get_or_create::<StoreError>(&key, limit, never).await;
    let why = late.err().unwrap().to_string();
    let pid = std::process::id();
    assert!(why.starts_with("timed out after"), "{why}");
    assert!(why.ends_with(&format!("pid {pid} is creating it")), "{why}");

    drop(held);
    let made = std::cell::Cell::new(0);
    drop(get_or_create(&store, &json!(1), &made).await);
    assert_eq!(made.get(), 1);
}
