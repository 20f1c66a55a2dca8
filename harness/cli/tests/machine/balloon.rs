//! Taking memory from a forked machine.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use machine::{Checkpoint, Machine, MachineSpec};

use crate::docker::{os, savable};
use crate::{LONG, bench};

/// Counts the non-zero bytes of a file; holes are read as zeroes.
fn bytes_that_are_not_zero(file: &Path) -> u64 {
    let mut file = File::open(file).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut count = 0;
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return count,
            read => count += buffer[..read].iter().filter(|byte| **byte != 0).count() as u64,
        }
    }
}

#[tokio::test]
async fn balloon_of_a_fork_does_not_change_the_checkpoint() {
    let (spec, login) = os();
    let spec = MachineSpec {
        balloon: true,
        ..spec
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let bench = bench();
    let machine = savable(&spec, folder.path(), &bench).await;
    drop(machine.ssh(&login, LONG).await.unwrap());
    machine.save(folder.path()).await.unwrap();

    let memory = folder.path().join("memory");
    let before = bytes_that_are_not_zero(&memory);
    let saved = Checkpoint::open(folder.path()).unwrap();
    let fork = Machine::fork(spec, &saved, bench.evidence.logs())
        .await
        .unwrap();
    fork.fail_fast(fork.set_balloon(640, LONG)).await.unwrap();
    fork.stop().await;
    assert_eq!(bytes_that_are_not_zero(&memory), before);
}
