//! The machines exit when the harness is killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use base::wait::{Poll, wait_until};
use machine::Machine;

use crate::{LONG, bench, guest, spec};

/// The variable that is set for the process to be killed: this test program again, running [`victim`].
const VICTIM: &str = "HARNESS_TEST_VICTIM";

/// Not a test: starts a machine, prints its pid and folder, and waits to be killed.
#[tokio::test]
async fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let (guest, bench) = (guest::get(), bench());
    let machine = Machine::start(spec(&guest, &[]), bench.evidence.logs())
        .await
        .unwrap();
    println!("\nmachine {} {}", machine.pid(), machine.folder().display());
    std::future::pending::<()>().await;
}

fn start_victim() -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::victim", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find_map(|l| l.strip_prefix("machine ").map(str::to_owned));
    (child, line.expect("the victim prints its machine"))
}

#[tokio::test]
async fn sigkill_of_the_harness_leaves_no_machine() {
    let guest = guest::get();
    let (mut child, line) = start_victim();
    let (pid, folder) = line.split_once(' ').unwrap();
    assert!(is_qemu(pid) && std::path::Path::new(folder).exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = wait_until("the end of QEMU", LONG, async || {
        if is_qemu(pid) {
            Poll::NotYet(format!("pid {pid} is running"))
        } else {
            Poll::Ready(())
        }
    });
    gone.await.unwrap();

    let bench = bench();
    let next = Machine::start(spec(&guest, &[]), bench.evidence.logs())
        .await
        .unwrap();
    assert!(
        !std::path::Path::new(folder).exists(),
        "the next start sweeps {folder}"
    );
    next.stop().await;
}

fn is_qemu(pid: &str) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    let running =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "));
    running && name.is_ok_and(|name| name.starts_with("qemu"))
}
