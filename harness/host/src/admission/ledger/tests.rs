use std::process::{Child, Command, Stdio};

use super::*;
use crate::memory::Memory;

/// Tells the child process of a test which ledger it is to take its share from.
const CHILD: &str = "HARNESS_TEST_LEDGER";
/// The name of the test that is the child.
const CHILD_TEST: &str = "admission::ledger::tests::a_process_with_a_machine";
const ONE: Demand = Demand {
    memory: 100,
    cpus: 1,
};

/// Room for two of [`ONE`].
fn host() -> Option<Host> {
    Some(Host {
        memory: Memory {
            total: 1024,
            available: 256 + 2 * ONE.memory,
        },
        cores: 1,
    })
}

fn ledger() -> (tempfile::TempDir, Ledger) {
    let parent = tempfile::tempdir().unwrap();
    let ledger = Ledger::in_folder(parent.path().join("ledger")).unwrap();
    (parent, ledger)
}

fn now(ledger: &Ledger) -> Option<Admitted> {
    match ledger.look(ONE, host(), Duration::ZERO) {
        Poll::Ready(admitted) => Some(admitted),
        Poll::NotYet(_) => None,
        Poll::Failed(why) => panic!("{why}"),
    }
}

#[test]
fn who_leaves_makes_room() {
    let (_parent, ledger) = ledger();
    let (first, second) = (now(&ledger), now(&ledger));
    assert!(first.is_some() && second.is_some());
    assert!(now(&ledger).is_none());
    drop(first);
    assert!(now(&ledger).is_some());
}

#[tokio::test]
async fn who_waits_is_let_in_when_somebody_leaves() {
    let (_parent, ledger) = ledger();
    let held = [now(&ledger).unwrap(), now(&ledger).unwrap()];
    let wait = ledger.admit(ONE, host);
    let leave = async {
        // It has looked once, in vain, when the turn is taken.
        let taken =
            async || match lock::take(&ledger.folder.join(TURN), FlockArg::LockExclusiveNonblock) {
                Ok(_) => Poll::NotYet("nobody waits".into()),
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
fn without_room_and_alone_it_gives_up() {
    let (_parent, ledger) = ledger();
    let large = Demand {
        memory: 800,
        cpus: 1,
    };
    let look = |waited| ledger.look(large, host(), waited);
    assert!(matches!(look(Duration::ZERO), Poll::NotYet(_)));
    let Poll::Failed(why) = look(PATIENCE_ALONE * 2) else {
        panic!("it still waits");
    };
    assert!(why.starts_with("200 of 800 MiB"), "{why}");
}

/// Not a test of its own: what the next one starts as a second process.
#[test]
fn a_process_with_a_machine() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let ledger = Ledger::in_folder(folder.into()).unwrap();
    let _held = [now(&ledger).unwrap(), now(&ledger).unwrap()];
    println!("admitted");
    // Until it is killed.
    let _ = io::stdin().read_line(&mut String::new());
}

fn second_process(ledger: &Ledger) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD_TEST, "--nocapture"])
        .env(CHILD, &ledger.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_process_that_is_killed_gives_its_share_back() {
    let (_parent, ledger) = ledger();
    let mut other = second_process(&ledger);
    let said = io::BufReader::new(other.stdout.take().unwrap());
    let mut lines = io::BufRead::lines(said).map_while(Result::ok);
    assert!(lines.any(|line| line.contains("admitted")));
    assert!(now(&ledger).is_none(), "the other process has all the room");
    other.kill().unwrap();
    other.wait().unwrap();
    let all = [now(&ledger), now(&ledger)];
    assert!(all.iter().all(Option::is_some), "its share is free again");
    let slots = std::fs::read_dir(&ledger.folder).unwrap().flatten();
    let slots = slots.filter(|entry| entry.path().extension().is_some_and(|end| end == SLOT));
    assert_eq!(slots.count(), 2, "its files are gone");
}

#[tokio::test]
async fn who_has_the_turn_is_waited_for_by_name_and_not_for_ever() {
    let (_parent, ledger) = ledger();
    let held = ledger.turn(Duration::from_secs(60)).await.unwrap();
    let late = ledger.turn(Duration::from_millis(50)).await.unwrap_err();
    let (why, pid) = (late.to_string(), std::process::id());
    assert!(why.starts_with("its turn did not happen within"), "{why}");
    let seen = format!("last seen: pid {pid} is next, and waits for room itself");
    assert!(why.ends_with(&seen), "{why}");
    drop(held);
    ledger.turn(Duration::from_secs(60)).await.unwrap();
}
