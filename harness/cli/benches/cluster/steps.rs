//! The duration of the same steps on two forks and on one, and the private memory of a machine of a cluster and
//! of one alone.

use std::time::{Duration, Instant};

use crate::common::Result;
use crate::common::figure::{Figure, fine_list, median};
use crate::common::memory::Memory;
use crate::tree::{self, Tree};

/// The bound of the duration on two machines to that on one.
const BOUND: f64 = 2.2;
/// The bound of the private memory of a machine of two to that of one alone.
const MEMORY_BOUND: f64 = 1.1;
/// When the memory is read, after the start of the fork.
const MEMORY_AFTER: Duration = Duration::from_secs(8);

/// The steps after a setup; `on` is put before each.
fn scenario(name: &str, setup: &str, on: &str) -> String {
    let steps = [
        "ssh: { run: docker run --rm busybox busybox echo tea, stdout: { equals: tea } }",
        "docker: { engine: system, ps: { contains: [console] } }",
        "ssh: { as: root, run: rancherctl config get hostname }",
        "ssh: { run: docker run -d --name shop busybox busybox sleep 1000 }",
        "wait_for: { container: { engine: user, name: shop } }",
    ];
    let steps = steps.map(|step| format!("  - {on}{step}\n")).concat();
    format!("name: {name}\nabout: The measured steps.\nsetup: {setup}\nsteps:\n{steps}")
}

pub(crate) async fn measure(tree: &Tree, runs: u16) -> Result<[Figure; 2]> {
    let one = tree.own_trial("one", &scenario("one", "busybox", ""))?;
    let two = tree.own_trial("two", &scenario("two", "pair", "on: [a, b]\n    "))?;
    let (mut alone, mut linked) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        alone.push(memory(tree, &one, None).await?);
        linked.push(memory(tree, &two, Some("a")).await?);
    }
    println!("private memory of a fork, in MB: alone {alone:.0?}, one of two {linked:.0?}");
    let (mut single, mut double) = (Vec::new(), Vec::new());
    for number in 1..=runs {
        for (trial, times) in [(&one, &mut single), (&two, &mut double)] {
            let begin = Instant::now();
            tree.run(trial).await?;
            times.push(begin.elapsed().as_secs_f64());
        }
        eprintln!("steps {number} of {runs}");
    }
    println!("the steps on one fork: {}", fine_list(&single));
    println!("the steps on two forks: {}", fine_list(&double));
    let ratio = median(&double) / median(&single);
    Ok([
        Figure::new("steps on two machines over one", ratio, BOUND, 2),
        Figure::new(
            "private memory of one of two machines over one alone",
            median(&linked) / median(&alone),
            MEMORY_BOUND,
            2,
        ),
    ])
}

/// The private memory of a fork in MB, a fixed time after its start: it grows while the guest runs.
async fn memory(tree: &Tree, trial: &runner::trial::Trial, name: Option<&str>) -> Result<f64> {
    let at = Instant::now() + MEMORY_AFTER;
    let stopped = tree.start(trial, 1).await?;
    let ssh = tree::log_in(&stopped, name).await?;
    tree::run(&ssh, "echo ready").await?;
    tokio::time::sleep_until(at.into()).await;
    let private = Memory::of(tree::machine(&stopped, name)?.pid())?.private;
    let names: &[_] = match name {
        Some(_) => &[Some("a"), Some("b")],
        None => &[None],
    };
    tree::stop(stopped, names).await?;
    Ok(private)
}
