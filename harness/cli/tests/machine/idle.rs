//! Waiting uses no CPU time, which the guests of a run need.

use std::time::Duration;

use machine::Machine;

use crate::{LONG, bench, guest, printed, ready, spec};

/// How long the CPU time is measured.
const LOOK: Duration = Duration::from_secs(2);

/// The CPU time of a thread of this process, in ticks of a hundredth of a second (proc_pid_stat(5)).
fn ticks(thread: &std::path::Path) -> u64 {
    let stat = std::fs::read_to_string(thread.join("stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let fields = fields.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// The CPU time of all connection threads.
fn ran() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let ours = threads.map(|thread| thread.path()).filter(|path| {
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        name.trim() == "ssh"
    });
    ours.map(|thread| ticks(&thread)).sum()
}

/// Checks that the connections stay idle. There is no event to wait for, so the test sleeps.
async fn rests() {
    let before = ran();
    tokio::time::sleep(LOOK).await;
    // A thread that has exited is not counted any more.
    let ran = ran().saturating_sub(before);
    assert!(ran < 100, "the connections took {ran} of 200 ticks");
}

#[tokio::test]
async fn connection_is_idle_after_a_command_is_abandoned() {
    let guest = guest::get();
    let bench = bench();
    let machine = Machine::start(spec(&guest, &[]), bench.evidence.logs());
    let machine = machine.await.unwrap();
    let ssh = ready(&machine).await;
    let chatter = ssh.run("while sleep 0.1; do echo still here; done", LONG);
    assert!(tokio::time::timeout(LOOK, chatter).await.is_err());
    rests().await;
    assert_eq!(printed(&ssh, "echo fine").await, "fine");

    // A connection whose peer is gone is idle as well.
    let other = ready(&machine).await;
    let server = printed(&ssh, "echo $PPID").await;
    printed(&other, &format!("kill -9 {server}")).await;
    rests().await;
    assert!(ssh.run("true", LONG).await.is_err());
}
