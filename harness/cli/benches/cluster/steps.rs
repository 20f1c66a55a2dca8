//! The duration of the same steps on two forks and on one, and the private memory of a machine of a cluster and
//! of one alone.

use std::time::Instant;

use crate::common::Result;
use crate::common::figure::{Figure, fine_list, median};
use crate::common::memory::Memory;
use crate::tree::{self, Tree};

/// The bound of the duration on two machines to that on one.
const BOUND: f64 = 2.2;
/// The bound of the private memory of a machine of two to that of one alone.
const MEMORY_BOUND: f64 = 1.1;

const HEAD: &str = "about: The measured steps.\nsetup: busybox\n";
const CLUSTER: &str = "machines: { a: { networks: [lan] }, b: { networks: [lan] } }\nnetworks: { lan: { subnet: 10.9.0.0/24 } }\n";

/// The steps; `on` is put before each.
fn scenario(name: &str, cluster: &str, on: &str) -> String {
    let steps = [
        "ssh: { run: docker run --rm busybox busybox echo tea, stdout: { equals: tea } }",
        "docker: { engine: system, ps: { contains: [console] } }",
        "ssh: { as: root, run: rancherctl config get hostname }",
        "ssh: { run: docker run -d --name shop busybox busybox sleep 1000 }",
        "wait_for: { container: { engine: user, name: shop } }",
    ];
    let steps = steps.map(|step| format!("  - {on}{step}\n")).concat();
    format!("name: {name}\n{HEAD}{cluster}steps:\n{steps}")
}

pub(crate) async fn measure(tree: &Tree, runs: u16) -> Result<[Figure; 2]> {
    let one = tree.own_trial("one", &scenario("one", "", ""))?;
    let two = tree.own_trial("two", &scenario("two", CLUSTER, "on: [a, b]\n    "))?;
    // Also creates the checkpoint if it does not exist.
    let alone = memory(tree, &one, None).await?;
    let linked = memory(tree, &two, Some("a")).await?;
    println!("private memory of a fork: alone {alone:.0} MB, one of two {linked:.0} MB");
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
            linked / alone,
            MEMORY_BOUND,
            2,
        ),
    ])
}

/// The private memory of a fork after its first command, in MB.
async fn memory(tree: &Tree, trial: &runner::trial::Trial, name: Option<&str>) -> Result<f64> {
    let stopped = tree.start(trial).await?;
    let ssh = tree::log_in(&stopped, name).await?;
    tree::run(&ssh, "echo ready").await?;
    let private = Memory::of(tree::machine(&stopped, name)?.pid())?.private;
    let names: &[_] = match name {
        Some(_) => &[Some("a"), Some("b")],
        None => &[None],
    };
    tree::stop(stopped, names).await?;
    Ok(private)
}
