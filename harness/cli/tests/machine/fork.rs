//! Forked machines.

use machine::{Checkpoint, Engine, Machine};

use crate::docker::{os, savable};
use crate::{LONG, bench, printed, within};

#[tokio::test]
async fn forks_continue_from_the_saved_state() {
    let (spec, login) = os();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let bench = bench();
    let machine = savable(&spec, folder.path(), &bench).await;
    let ssh = machine.ssh(&login, LONG).await.unwrap();
    let boot = printed(
        &ssh,
        "cat /proc/sys/kernel/random/boot_id; echo kept > ~/note",
    )
    .await;
    for engine in [Engine::System, Engine::User] {
        let docker = machine.docker(&ssh, engine).await.unwrap();
        docker.ping().await.unwrap();
    }
    drop(ssh);
    machine.settle(LONG).await;
    // The connection to Docker would be saved with the machine.
    let ssh = machine.ssh(&login, LONG).await.unwrap();
    // The server process of this connection; another process listens.
    let one = "until [ $(pidof dropbear | wc -w) = 1 ]; do sleep 0.1; done";
    assert_eq!(printed(&ssh, one).await, "");
    drop(ssh);
    machine.save(folder.path()).await.unwrap();

    let saved = Checkpoint::open(folder.path()).unwrap();
    let fork = async || {
        let fork = Machine::fork(spec.clone(), &saved, bench.evidence.logs())
            .await
            .unwrap();
        let ssh = fork.ssh(&login, LONG).await.unwrap();
        (fork, ssh)
    };
    let ((one, one_ssh), (two, two_ssh)) = tokio::join!(fork(), fork());
    // State 01 is established, 0016 is port 22 (proc_net_tcp.rst of the kernel).
    let connected = r#"awk '$2 ~ /:0016$/ && $4 == "01"' /proc/net/tcp | wc -l"#;
    for ssh in [&one_ssh, &two_ssh] {
        let others = "nobody but this connection is there";
        assert_eq!(printed(ssh, connected).await, "1", "{others}");
    }
    assert_ne!(one.ssh_port(), two.ssh_port());
    let random = "head -c 32 /dev/urandom | xxd -p -c 64";
    assert_ne!(
        printed(&one_ssh, random).await,
        printed(&two_ssh, random).await
    );
    let word = "sudo cat /sys/firmware/qemu_fw_cfg/by_name/opt/io.rancher.harness/nonce/raw";
    let words = (printed(&one_ssh, word).await, printed(&two_ssh, word).await);
    assert_eq!((words.0.len(), words.1.len()), (32, 32), "{words:?}");
    assert_ne!(words.0, words.1);
    let ask = "cat /proc/sys/kernel/random/boot_id; cat ~/note; echo changed > ~/note";
    for ssh in [&one_ssh, &two_ssh] {
        assert_eq!(printed(ssh, ask).await, format!("{boot}\nkept"));
    }
    for engine in [Engine::System, Engine::User] {
        let docker = within(one.docker(&one_ssh, engine)).await.unwrap();
        assert_eq!(docker.ping().await.unwrap(), "OK");
    }
}
