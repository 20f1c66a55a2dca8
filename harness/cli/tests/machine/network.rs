//! Networks between machines: forks of one checkpoint, each with a card that is plugged in.

use std::time::Duration;

use base::wait::{Poll, wait_until};
use machine::switch::{Filter, Impairment, Network, NetworkSettings};
use machine::{
    Checkpoint, FailureSnapshot, Link, Login, Machine, MachineSpec, RestoreOptions, Ssh,
};

use crate::docker::{os, savable};
use crate::{LONG, bench, printed};

/// Waits for the address of the plugged-in card.
const ADDRESS: &str = "until ip -4 -o addr show dev eth1 2>/dev/null | grep -o '10[.]9[.]0[.][0-9]*/24'; do sleep 0.1; done";

async fn output(ssh: &Ssh, command: &str) -> machine::Output {
    ssh.run(command, LONG).await.unwrap()
}

async fn ping(ssh: &Ssh, address: &str) -> bool {
    let ping = format!("sudo ping -c 1 -W 2 {address}");
    output(ssh, &ping).await.exit == Some(0)
}

/// Waits until a machine answers.
async fn reach(ssh: &Ssh, address: &str) {
    let reached = async || match ping(ssh, address).await {
        true => Poll::Ready(()),
        false => Poll::NotYet("no answer".to_owned()),
    };
    wait_until(address, LONG, reached).await.unwrap();
}

/// Boots a machine and saves it.
async fn checkpoint(spec: &MachineSpec, login: &Login, folder: &std::path::Path) -> Checkpoint {
    let bench = bench();
    let machine = savable(spec, folder, &bench).await;
    drop(machine.ssh(login, LONG).await.unwrap());
    machine.settle(LONG).await;
    machine.save(folder).await.unwrap();
    Checkpoint::open(folder).unwrap()
}

#[tokio::test]
async fn forks_meet_on_a_network_that_can_be_cut_and_impaired() {
    let (spec, login) = os();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let saved = checkpoint(&spec, &login, folder.path()).await;
    let network = Network::with_settings(NetworkSettings {
        name: "lan".into(),
        subnet: "10.9.0.0/24".parse().unwrap(),
        dhcp: true,
    });
    let (bench_a, bench_b) = (bench(), bench());
    let fork = async |bench: &crate::Bench, name: &str, number: u32| {
        let logs = bench.evidence.logs();
        let spec = MachineSpec {
            links: vec![Link {
                network: network.clone(),
                machine: name.to_owned(),
                number,
            }],
            ..spec.clone()
        };
        let fork = Machine::fork(spec, &saved, logs).await.unwrap();
        let ssh = fork.ssh(&login, LONG).await.unwrap();
        let address = printed(&ssh, ADDRESS).await;
        assert_eq!(address, format!("10.9.0.{number}/24"));
        (fork, ssh)
    };
    let ((a, a_ssh), (b, b_ssh)) = tokio::join!(fork(&bench_a, "a", 1), fork(&bench_b, "b", 2));
    reach(&a_ssh, "10.9.0.2").await;
    reach(&b_ssh, "10.9.0.1").await;
    // The network's own host.
    reach(&a_ssh, "10.9.0.254").await;

    let cut = network.cut(&["a"], &["b"]).unwrap();
    assert!(!ping(&a_ssh, "10.9.0.2").await);
    let filter: Filter = "icmp and dst 10.9.0.2".parse().unwrap();
    assert!(network.has_captured(&filter, Some("a"), None));
    network.heal(cut);
    reach(&a_ssh, "10.9.0.2").await;
    assert!(network.has_captured(&filter, Some("a"), Some("b")));

    let delay = Duration::from_millis(300);
    let slow = Impairment {
        delay,
        ..Default::default()
    };
    network.impair("b", slow).unwrap();
    let times = printed(
        &a_ssh,
        "sudo ping -c 3 10.9.0.2 | sed -n 's/^round-trip.* = \\([0-9]*\\).*/\\1/p'",
    )
    .await;
    assert!(times.parse::<u32>().unwrap() >= 600, "{times}");
    network.impair("b", Impairment::default()).unwrap();

    // The emulated machine continues in another QEMU, on the same socket.
    b.expect_reboot().await;
    let order = async { drop(b_ssh.run("sudo reboot", LONG).await) };
    let (booted, ()) = tokio::join!(b.wait_event("started", LONG), order);
    booted.unwrap();
    let again = b.ssh(&login, LONG).await.unwrap();
    assert_eq!(printed(&again, ADDRESS).await, "10.9.0.2/24");
    reach(&a_ssh, "10.9.0.2").await;
    restored(&spec, &login, [(&a, 1), (&b, 2)]).await;
}

/// Failure snapshots of machines on one network are restored on another one, with the same addresses.
async fn restored(spec: &MachineSpec, login: &Login, machines: [(&Machine, u32); 2]) {
    for (machine, _) in machines {
        machine.pause().await.unwrap();
    }
    let (network, folder) = (Network::new(), tempfile::tempdir().unwrap());
    let initrd = spec.initrd.as_deref();
    let mut restored = Vec::new();
    for (machine, number) in machines {
        let folder = folder.path().join(number.to_string());
        std::fs::create_dir(&folder).unwrap();
        machine.keep(&folder, u64::MAX).await.unwrap();
        let snapshot = FailureSnapshot::open(&folder).unwrap();
        let options = RestoreOptions {
            links: vec![Link {
                network: network.clone(),
                machine: number.to_string(),
                number,
            }],
            ..RestoreOptions::new(&spec.kernel, initrd)
        };
        let bench = bench();
        let machine = Machine::restore(&snapshot, options, bench.evidence.logs()).await;
        restored.push((machine.unwrap(), snapshot, bench));
    }
    let ssh = restored[0].0.ssh(login, LONG).await.unwrap();
    reach(&ssh, "10.9.0.2").await;
}
