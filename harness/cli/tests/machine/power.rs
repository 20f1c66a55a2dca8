//! A power cut loses unflushed writes; killing QEMU does not.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use base::wait::{Poll, wait_until};
use machine::profile::{Bus, ProfileDisk};
use machine::{Machine, MachineSpec, Ssh};
use runner::evidence::Evidence;

use crate::guest::{self, Guest};
use crate::{LONG, bench, printed, ready, spec};

const BUSES: [Bus; 4] = [Bus::Virtio, Bus::Nvme, Bus::Scsi, Bus::Sata];
/// How many pages are written and flushed on each disk, and how many more are not flushed.
const PAGES: usize = 64;
/// The size of a page in bytes.
const PAGE: usize = 4096;
/// The number of sectors of these pages.
const SECTORS: usize = PAGES * PAGE / 512;
/// The byte that fills the pages.
const BYTE: char = 'w';

/// A disk on each bus.
fn with_disks(guest: &Guest, write_cache: bool) -> MachineSpec {
    let mut spec = spec(guest, &[]);
    spec.write_cache = write_cache;
    spec.profile.profile.disks = BUSES
        .map(|bus| ProfileDisk {
            size: 16.try_into().unwrap(),
            bus,
        })
        .into();
    spec
}

/// The devices of the disks, in the order of their serial numbers.
async fn devices(ssh: &Ssh) -> Vec<String> {
    let ask = "cd /sys/block; for d in vd? sd? nvme?n?; do \
        s=$(cat $d/serial 2>/dev/null || cat $d/device/serial 2>/dev/null || \
            tail -c +5 $d/device/vpd_pg80); echo $s $d; done";
    let text = printed(ssh, ask).await;
    let mut rows: Vec<_> = text
        .lines()
        .filter_map(|row| row.split_once(' '))
        .filter(|(serial, _)| serial.starts_with("disk"))
        .collect();
    rows.sort_unstable();
    assert_eq!(rows.len(), BUSES.len(), "{text}");
    rows.iter()
        .map(|(_, device)| (*device).to_owned())
        .collect()
}

/// Writes to each disk: one part is flushed, the other leaves the guest page by page, because the
/// last `close` of a device writes out the page cache and does not flush.
async fn write(ssh: &Ssh) {
    let fill = format!("head -c 1048576 /dev/zero | tr '\\000' {BYTE} > /tmp/w");
    printed(ssh, &fill).await;
    for device in devices(ssh).await {
        let cache = printed(ssh, &format!("cat /sys/block/{device}/queue/write_cache")).await;
        assert_eq!(
            cache, "write back",
            "{device}: the guest would never flush it"
        );
        let dd = format!("dd if=/tmp/w of=/dev/{device} bs={PAGE}");
        let flushed = format!("{dd} count={PAGES} conv=fsync");
        let page = format!("{dd} count=1 seek=$(({PAGES} + n)) 2> /dev/null");
        let unflushed = format!("for n in $(seq 0 {}); do {page}; done", PAGES - 1);
        printed(ssh, &format!("{flushed} && {unflushed}")).await;
    }
}

/// Which sectors of a disk have the written content.
fn there(file: &Path) -> Vec<bool> {
    let mut bytes = vec![0; 2 * SECTORS * 512];
    File::open(file)
        .unwrap()
        .read_exact_at(&mut bytes, 0)
        .unwrap();
    let one = |sector: &[u8]| {
        let whole = |byte| sector.iter().all(|b| *b == byte);
        assert!(whole(BYTE as u8) || whole(0), "a torn sector");
        whole(BYTE as u8)
    };
    bytes.chunks(512).map(one).collect()
}

fn disk(machine: &Machine, number: usize) -> std::path::PathBuf {
    machine.folder().join(format!("disk{number}.img"))
}

async fn kill(machine: &Machine) {
    let pid = machine.pid();
    std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    let gone = wait_until("the end of QEMU", LONG, async || {
        if Path::new(&format!("/proc/{pid}/exe")).exists() {
            Poll::NotYet(format!("pid {pid} is running"))
        } else {
            Poll::Ready(())
        }
    });
    gone.await.unwrap();
}

#[tokio::test]
async fn killing_qemu_loses_no_write_that_reached_it() {
    let guest = guest::get();
    for write_cache in [false, true] {
        let bench = bench();
        let spec = with_disks(&guest, write_cache);
        let machine = Machine::start(spec, bench.evidence.logs()).await.unwrap();
        write(&ready(&machine).await).await;
        kill(&machine).await;
        for number in 0..BUSES.len() {
            let there = there(&disk(&machine, number));
            assert!(
                there.iter().all(|there| *there),
                "disk{number} with a cache: {write_cache}"
            );
        }
    }
}

#[tokio::test]
async fn power_cut_loses_only_unflushed_writes() {
    let guest = guest::get();
    let bench = bench();
    let spec = with_disks(&guest, true);
    let machine = Machine::start(spec, bench.evidence.logs()).await.unwrap();
    let ssh = ready(&machine).await;
    let boot_id = "cat /proc/sys/kernel/random/boot_id";
    let before = printed(&ssh, boot_id).await;
    write(&ssh).await;

    let (again, lost) = machine.fail_fast(machine.power_cut(7)).await.unwrap();
    let names: Vec<_> = lost.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(names, ["disk0", "disk1", "disk2", "disk3"]);
    let mut patterns = Vec::new();
    for (number, (_, loss)) in lost.iter().enumerate() {
        let mut there = there(&disk(&again, number));
        let unflushed = there.split_off(SECTORS);
        assert!(
            there.iter().all(|there| *there),
            "disk{number} lost what was flushed"
        );
        let gone = unflushed.iter().filter(|there| !**there).count();
        assert_eq!(
            (loss.writes, loss.sectors, loss.lost),
            (PAGES, SECTORS, gone)
        );
        assert!(gone > 0 && gone < SECTORS, "disk{number}: {unflushed:?}");
        patterns.push(unflushed);
    }
    assert_ne!(
        patterns[0], patterns[1],
        "each disk has a pattern of its own"
    );

    let ssh = ready(&again).await;
    assert_ne!(printed(&ssh, boot_id).await, before);
    assert_eq!(again.boot_events().first().unwrap().stage, "init");
    assert_ne!(again.pid(), machine.pid());
    let nothing = machine.fail_fast(async { Ok(()) }).await;
    assert!(nothing.is_ok(), "a requested stop is not a guest failure");
    goes_on(&bench.evidence);
    // A second power cut, in the new machine.
    write(&ssh).await;
    let (_, lost) = again.power_cut(8).await.unwrap();
    assert!(
        lost.iter().all(|(_, loss)| loss.writes == PAGES),
        "{lost:?}"
    );
}

/// The evidence has both boots in the same files.
fn goes_on(evidence: &Evidence) {
    let read = |name: &str| std::fs::read_to_string(evidence.file(name)).unwrap();
    assert_eq!(read("serial.log").matches("test guest started").count(), 2);
    assert_eq!(read("qmp.log").matches("\"QMP\"").count(), 2);
    let last = read("events.jsonl").lines().last().unwrap().to_owned();
    assert!(
        last.contains("\"boot\":1") && last.contains("started"),
        "{last}"
    );
    let told = read("power-cuts.jsonl");
    assert!(
        told.contains("\"seed\":7") && told.contains("\"lost\""),
        "{told}"
    );
}

#[tokio::test]
async fn power_cut_fails_without_write_caches() {
    let guest = guest::get();
    let bench = bench();
    let machine = Machine::start(with_disks(&guest, false), bench.evidence.logs())
        .await
        .unwrap();
    let why = machine.power_cut(7).await.err().unwrap().to_string();
    assert!(why.contains("no write cache"), "{why}");
}
