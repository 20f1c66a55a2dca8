use std::process::{Child, Command, Stdio};

use super::*;
use crate::memory::Memory;

/// The environment variable with the queue folder of the child process of a test.
const CHILD: &str = "HARNESS_TEST_QUEUE";
/// The name of the test that is the child.
const CHILD_TEST: &str = "admission::queue::tests::child_process_with_two_machines";
const ONE: ResourceRequest = ResourceRequest {
    memory: 100,
    cpus: 1,
};

/// A host with resources for two of [`ONE`].
fn host() -> Option<Host> {
    Some(Host {
        memory: Memory {
            total: 1024,
            available: 256 + 2 * ONE.memory,
        },
        cores: 1,
    })
}

fn queue() -> (tempfile::TempDir, AdmissionQueue) {
    let parent = tempfile::tempdir().unwrap();
    let queue = AdmissionQueue::in_folder(parent.path().join("queue")).unwrap();
    (parent, queue)
}

fn now(queue: &AdmissionQueue) -> Option<Admitted> {
    match queue.look(ONE, host(), Duration::ZERO) {
        Poll::Ready(admitted) => Some(admitted),
        Poll::NotYet(_) => None,
        Poll::Failed(reason) => panic!("{reason}"),
    }
}

#[test]
fn machine_is_admitted_when_another_one_ends() {
    let (_parent, queue) = queue();
    let (first, second) = (now(&queue), now(&queue));
    assert!(first.is_some() && second.is_some());
    assert!(now(&queue).is_none());
    drop(first);
    assert!(now(&queue).is_some());
}

#[tokio::test]
async fn machine_that_does_not_wait_is_refused_with_the_missing_resource() {
    let (_parent, queue) = queue();
    let admitted = queue.admit_now(ONE, host()).await.unwrap();
    let two = ResourceRequest {
        memory: 2 * ONE.memory,
        cpus: 0,
    };
    let refused = queue.admit_now(two, host()).await.unwrap_err();
    assert_eq!(refused.to_string(), "100 of 200 MiB of memory are free");
    drop(admitted);
    queue.admit_now(two, host()).await.unwrap();
}

#[tokio::test]
async fn waiting_machine_is_admitted_when_another_one_ends() {
    let (_parent, queue) = queue();
    let held = [now(&queue).unwrap(), now(&queue).unwrap()];
    let wait = queue.admit(ONE, host);
    let leave = async {
        // When the turn is taken, the waiter has looked at least once.
        let taken =
            async || match lock::take(&queue.folder.join(TURN), FlockArg::LockExclusiveNonblock) {
                Ok(_) => Poll::NotYet("no waiter".into()),
                Err(_) => Poll::Ready(()),
            };
        wait_until("a waiter", Duration::from_secs(60), taken)
            .await
            .unwrap();
        drop(held);
    };
    let (admitted, ()) = tokio::join!(wait, leave);
    admitted.unwrap();
}

#[test]
fn admission_fails_when_no_machine_runs_and_memory_is_missing() {
    let (_parent, queue) = queue();
    let large = ResourceRequest {
        memory: 800,
        cpus: 1,
    };
    let look = |waited| queue.look(large, host(), waited);
    assert!(matches!(look(Duration::ZERO), Poll::NotYet(_)));
    let Poll::Failed(reason) = look(TIMEOUT_ALONE * 2) else {
        panic!("admission still waits");
    };
    assert!(reason.starts_with("200 of 800 MiB"), "{reason}");
}

/// Not a test: the next test runs it as a second process.
#[test]
fn child_process_with_two_machines() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let queue = AdmissionQueue::in_folder(folder.into()).unwrap();
    let _held = [now(&queue).unwrap(), now(&queue).unwrap()];
    println!("admitted");
    // Runs until it is killed.
    let _ = io::stdin().read_line(&mut String::new());
}

fn second_process(queue: &AdmissionQueue) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD_TEST, "--nocapture"])
        .env(CHILD, &queue.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn reservation_is_freed_when_its_process_is_killed() {
    let (_parent, queue) = queue();
    let mut other = second_process(&queue);
    let output = io::BufReader::new(other.stdout.take().unwrap());
    let mut lines = io::BufRead::lines(output).map_while(Result::ok);
    assert!(lines.any(|line| line.contains("admitted")));
    assert!(
        now(&queue).is_none(),
        "the other process uses all resources"
    );
    other.kill().unwrap();
    other.wait().unwrap();
    let all = [now(&queue), now(&queue)];
    assert!(
        all.iter().all(Option::is_some),
        "its reservation is free again"
    );
    let slots = std::fs::read_dir(&queue.folder).unwrap().flatten();
    let slots = slots.filter(|entry| entry.path().extension().is_some_and(|end| end == SLOT));
    assert_eq!(slots.count(), 2, "its files are removed");
}

#[tokio::test]
async fn queue_wait_times_out_and_names_the_holder() {
    let (_parent, queue) = queue();
    let held = queue.turn(Duration::from_secs(60)).await.unwrap();
    let late = queue.turn(Duration::from_millis(50)).await.unwrap_err();
    let (error, pid) = (late.to_string(), std::process::id());
    assert!(error.starts_with("timed out after"), "{error}");
    let seen = format!("last seen: pid {pid} has the turn, and waits for resources");
    assert!(error.ends_with(&seen), "{error}");
    drop(held);
    queue.turn(Duration::from_secs(60)).await.unwrap();
}
