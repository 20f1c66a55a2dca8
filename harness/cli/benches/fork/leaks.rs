//! Checks that many forks leave no resources in this process and on the host.

use std::path::PathBuf;

use machine::{Machine, MachineError};

use crate::common::Result;
use crate::common::bench::{Bench, close};
use crate::common::figure::{Figure, median};
use crate::common::memory::Memory;
use crate::left::Before;
use crate::parent::Parent;

/// How many forks run at a time in the second half.
const AT_A_TIME: u16 = 4;
/// Forks before the first inventory, which create persistent threads and arenas.
const WARM_UP: u16 = 8;
/// The bound of the private memory of a fork with 1 GiB at its first step, in MB.
const MEMORY_BOUND: f64 = 100.0;

/// The resources of a fork that must be released.
pub(crate) struct Gone {
    /// The forwarded SSH port.
    pub port: u16,
    /// Its folder.
    pub folder: PathBuf,
}

/// Forks the given number of times, one after another and then 4 at a time.
pub(crate) async fn measure(bench: &Bench, parent: &Parent, forks: u16) -> Result<[Figure; 3]> {
    several(bench, parent, WARM_UP, AT_A_TIME).await?;
    let before = Before::look(parent)?;
    let mut left = Vec::new();
    let mut memory = Vec::new();
    for at_a_time in [1, AT_A_TIME] {
        let ended = several(bench, parent, forks, at_a_time).await?;
        let (gone, used): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
        let found = before.compare(parent, &gone).await?;
        println!("\nafter {forks} forks, {at_a_time} at a time:\n{found}");
        left.push(found.count());
        if at_a_time == 1 {
            memory = used;
        }
    }
    let private: Vec<_> = memory.iter().map(|memory| memory.private).collect();
    let clean: Vec<_> = memory.iter().map(|memory| memory.clean).collect();
    println!(
        "\na fork at its first step has {:.0} MB to itself (what it wrote, QEMU's own included), and reads {:.0} MB \
         of files that no other process has mapped now",
        median(&private),
        median(&clean)
    );
    let most = private.iter().copied().fold(0.0, f64::max);
    Ok([
        Figure::new("left after forks one after another", left[0], 0.0, 0),
        Figure::new("left after forks 4 at a time", left[1], 0.0, 0),
        Figure::new("private MB of a fork, the most", most, MEMORY_BOUND, 0),
    ])
}

/// Forks with the given concurrency; each fork runs one command and stops.
async fn several(
    bench: &Bench,
    parent: &Parent,
    forks: u16,
    at_a_time: u16,
) -> Result<Vec<(Gone, Memory)>> {
    let mut ended = Vec::new();
    while ended.len() < usize::from(forks) {
        let left = usize::from(forks) - ended.len();
        let now = left.min(usize::from(at_a_time));
        let group = (0..now).map(|_| one(bench, parent));
        for fork in futures_util::future::join_all(group).await {
            ended.push(fork?);
        }
        if ended.len() % 20 < now {
            eprintln!("{} of {forks} forks, {at_a_time} at a time", ended.len());
        }
    }
    Ok(ended)
}

async fn one(bench: &Bench, parent: &Parent) -> Result<(Gone, Memory)> {
    let evidence = bench.evidence()?;
    let fork = async {
        let fork = Machine::fork(bench.spec.clone(), &parent.saved, evidence.logs()).await?;
        let first = fork.fail_fast(bench.first_command(&fork)).await;
        let (_ssh, _) = first?;
        let memory = Memory::of(fork.pid()).map_err(|e| MachineError::Other(e.to_string()))?;
        let gone = Gone {
            port: fork.ssh_port(),
            folder: fork.folder().to_owned(),
        };
        fork.stop().await;
        Ok((gone, memory))
    };
    close(&evidence, fork.await)
}
