//! Hot-plugged devices are restored with the failure snapshot.

use machine::{Blank, FailureSnapshot, Machine, RestoreOptions};

use crate::guest::{self, Guest};
use crate::{LONG, bench, printed, rancher, ready, spec};

const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
/// Waits until the guest has both devices.
const BOTH: &str =
    "until [ -w /dev/vda ] && [ -d /sys/class/net/eth1 ]; do sleep 0.1; done; echo there";

#[tokio::test]
async fn failure_snapshot_has_hot_plugged_devices() {
    let guest = guest::get();
    let bench = bench();
    let machine = Machine::start(spec(&guest, &[]), bench.evidence.logs()).await;
    let machine = machine.unwrap();
    let ssh = ready(&machine).await;
    let blank = Blank {
        mib: 16,
        ..Blank::default()
    };
    machine.plug_disk(&blank).await.unwrap();
    machine.plug_card("10.0.3.0/24").await.unwrap();
    assert_eq!(printed(&ssh, BOTH).await, "there");
    printed(&ssh, "echo mine | dd of=/dev/vda bs=512 conv=sync,fsync").await;
    let boot = printed(&ssh, BOOT_ID).await;

    let folder = tempfile::tempdir().unwrap();
    machine.keep(folder.path(), 1 << 30).await.unwrap();
    for _ in 0..2 {
        let machine = enter(folder.path(), &guest, &bench.evidence).await;
        let login = rancher(guest::PASSWORD);
        let ssh = machine.ssh(&login, LONG).await.unwrap();
        assert_eq!(printed(&ssh, BOOT_ID).await, boot);
        assert_eq!(printed(&ssh, BOTH).await, "there");
        let read = "dd if=/dev/vda bs=512 count=1 iflag=direct | head -c 4";
        assert_eq!(printed(&ssh, read).await, "mine");
        // Changes do not affect the snapshot.
        printed(&ssh, "echo lost | dd of=/dev/vda bs=512 conv=sync,fsync").await;
        machine.stop().await;
    }
}

async fn enter(
    folder: &std::path::Path,
    guest: &Guest,
    evidence: &runner::evidence::Evidence,
) -> Machine {
    let kept = FailureSnapshot::open(folder).unwrap();
    let initrd = Some(guest.initrd.as_path());
    let entered = Machine::restore(
        &kept,
        RestoreOptions::new(&guest.kernel, initrd),
        evidence.logs(),
    )
    .await;
    entered.unwrap()
}
