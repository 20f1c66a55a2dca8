//! Resets of a guest. An emulated guest continues in a new QEMU process; users of the machine notice only
//! the delay.

use std::path::Path;
use std::time::{Duration, Instant};

use machine::profile::Accelerator;
use machine::{Blank, Disk, DiskFaults, Disturbance, Machine, MachineError, MachineSpec, Ssh};
use regex::Regex;

use crate::guest::{self, Guest};
use crate::{LONG, bench, printed, rancher, ready, spec, within};

const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
/// Reads the disk without caches.
const READ: &str = "dd if=/dev/vda of=/dev/null bs=4096 count=1 iflag=direct";

fn with_disk(guest: &Guest, args: &[&str]) -> MachineSpec {
    MachineSpec {
        disks: vec![Disk::Blank(Blank {
            mib: 16,
            ..Blank::default()
        })],
        ..spec(guest, args)
    }
}

/// Resets the machine with a sysrq key, and waits until it is ready again.
async fn reset(machine: &Machine, ssh: &Ssh, key: char) -> Ssh {
    machine.expect_reboot().await;
    machine.serial().expect_panic();
    let order = format!("echo {key} > /proc/sysrq-trigger");
    let booting = async {
        tokio::select! {
            booting = machine.wait_event("init", LONG) => booting.map(drop),
            // The connection is expected to break or to become silent.
            _ = async { let _ = ssh.run(&order, LONG).await; std::future::pending::<()>().await } => Ok(()),
        }
    };
    machine.fail_fast(booting).await.unwrap();
    machine.serial().end_expected_panic();
    ready(machine).await
}

fn process_is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/exe")).exists()
}

#[tokio::test]
async fn reset_of_an_emulated_machine_starts_a_new_qemu_process() {
    let guest = guest::get();
    let bench = bench();
    let spec = with_disk(&guest, &["panic=1"]);
    let emulated = matches!(spec.profile.accelerator, Accelerator::Tcg { .. });
    let machine = Machine::start(spec, bench.evidence.logs()).await.unwrap();
    let (port, folder) = (machine.ssh_port(), machine.folder().to_owned());
    let mut ssh = ready(&machine).await;
    printed(&ssh, "echo kept | dd of=/dev/vda bs=512 conv=sync,fsync").await;
    let mut pids = vec![machine.pid()];
    // An immediate reset, and one after a panic.
    for key in ['b', 'c'] {
        let before = printed(&ssh, BOOT_ID).await;
        ssh = reset(&machine, &ssh, key).await;
        assert_ne!(printed(&ssh, BOOT_ID).await, before);
        assert_eq!(printed(&ssh, "head -c 4 /dev/vda").await, "kept");
        assert_eq!(machine.ssh_port(), port);
        assert_eq!(machine.boot_events().first().unwrap().stage, "init");
        assert_eq!(pids.contains(&machine.pid()), !emulated, "{pids:?}");
        pids.push(machine.pid());
    }
    let serial = machine.serial();
    assert!(
        serial
            .login("rancher", guest::PASSWORD, LONG)
            .await
            .unwrap()
    );
    serial.send(b"echo $((6 * 7))\r").await.unwrap();
    let answer = Regex::new(r"(?m)^42\r$").unwrap();
    serial.expect(&answer, LONG).await.unwrap();
    assert!(!machine.has_exited() && machine.shutdown_reason().is_none());

    let read = |name: &str| std::fs::read_to_string(bench.evidence.file(name)).unwrap();
    assert_eq!(read("serial.log").matches("test guest started").count(), 3);
    assert_eq!(read("serial.log"), serial.text());
    let last = read("events.jsonl").lines().last().unwrap().to_owned();
    assert!(
        last.contains("\"boot\":2") && last.contains("started"),
        "{last}"
    );
    let offsets: Vec<usize> = read("serial.times")
        .lines()
        .map(|line| line.split_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(offsets.is_sorted(), "{offsets:?}");

    machine.stop().await;
    assert!(machine.has_exited());
    drop(machine);
    assert!(!folder.exists());
    assert!(!pids.into_iter().any(process_is_there));
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn machine_survives_a_chain_of_resets_panics_and_power_cuts() {
    let guest = guest::get();
    let bench = bench();
    let mut spec = with_disk(&guest, &["panic=1"]);
    spec.write_cache = true;
    let mut machine = Machine::start(spec, bench.evidence.logs()).await.unwrap();
    let mut ssh = ready(&machine).await;
    printed(&ssh, "echo kept | dd of=/dev/vda bs=512 conv=sync,fsync").await;
    for key in [Some('b'), None, Some('c'), None, None, Some('b')] {
        let before = printed(&ssh, BOOT_ID).await;
        ssh = match key {
            Some(key) => reset(&machine, &ssh, key).await,
            None => {
                machine = machine.power_cut(7).await.unwrap().0;
                ready(&machine).await
            }
        };
        assert_ne!(printed(&ssh, BOOT_ID).await, before, "after {key:?}");
        assert_eq!(printed(&ssh, "head -c 4 /dev/vda").await, "kept");
    }
}

#[tokio::test]
async fn disk_fault_persists_over_a_reset() {
    let guest = guest::get();
    let bench = bench();
    let mut spec = with_disk(&guest, &["reboot=triple"]);
    spec.console = serde_yaml::from_str("allow: ['I/O error(,| on) dev vda']").unwrap();
    let machine = Machine::start(spec, bench.evidence.logs()).await.unwrap();
    let ssh = ready(&machine).await;
    let address = printed(&ssh, "cat /sys/class/net/eth0/address").await;
    let network = machine.network_of(&address).await.unwrap();
    let faults = DiskFaults {
        read: true,
        ..DiskFaults::default()
    };
    let disk = machine.break_disk("disk0", faults).await.unwrap();
    let late = Disturbance {
        delay: Duration::from_millis(300),
        loss: 0,
    };
    let relay = machine.disturb_packets(&network, late).await.unwrap();

    let ssh = reset(&machine, &ssh, 'b').await;
    let begin = Instant::now();
    let output = ssh.run(READ, LONG).await.unwrap();
    assert_eq!(output.exit, Some(1), "{output:?}");
    assert!(begin.elapsed() >= late.delay * 2, "{:?}", begin.elapsed());
    within(machine.restore_packets(relay)).await.unwrap();
    within(machine.repair_disk(&disk)).await.unwrap();
    printed(&ssh, READ).await;
}

#[tokio::test]
async fn link_down_persists_over_a_reset() {
    let guest = guest::get();
    let bench = bench();
    let machine = Machine::start(spec(&guest, &[]), bench.evidence.logs())
        .await
        .unwrap();
    let ssh = ready(&machine).await;
    let address = printed(&ssh, "cat /sys/class/net/eth0/address").await;
    let network = machine.network_of(&address).await.unwrap();
    machine.set_link(&network, false).await.unwrap();
    machine.expect_reboot().await;
    machine.reset().await.unwrap();
    machine
        .fail_fast(machine.wait_event("started", LONG))
        .await
        .unwrap();
    let short = Duration::from_secs(3);
    let nobody = machine.ssh(&rancher(guest::PASSWORD), short).await;
    assert!(matches!(nobody, Err(MachineError::Wait(_))));
    machine.set_link(&network, true).await.unwrap();
    ready(&machine).await;
}
