//! The time from the checkpoint of a cluster to the first ping between containers of two machines.

use std::time::Instant;

use crate::common::Result;
use crate::common::figure::{Figure, fine_list, median};
use crate::tree::{self, Tree};

/// The scenario whose setup leaves a container `shop` on each of two machines.
const SCENARIO: &str = "flannel-cluster";
/// The bound in seconds, emulated.
const BOUND: f64 = 3.0;

pub(crate) async fn measure(tree: &Tree, runs: u16) -> Result<Figure> {
    let trial = tree.trial(SCENARIO)?;
    // Also creates the checkpoint if it does not exist.
    let cluster = tree.start(&trial).await?;
    let ssh = tree::log_in(&cluster, Some("a")).await?;
    let other = tree::run(&ssh, "wget -qO - http://b:8000/shop").await?;
    stop(cluster).await?;
    let ping = format!("docker exec shop busybox ping -c 1 -W 30 {other}");
    let mut times = Vec::new();
    for number in 1..=runs {
        let begin = Instant::now();
        let cluster = tree.start(&trial).await?;
        let forked = begin.elapsed().as_secs_f64();
        let ssh = tree::log_in(&cluster, Some("a")).await?;
        tree::run(&ssh, &ping).await?;
        times.push(begin.elapsed().as_secs_f64());
        eprintln!(
            "cluster {number} of {runs}: both machines ready after {forked:.2} s, ping after {:.2} s",
            times.last().copied().unwrap_or(f64::NAN)
        );
        stop(cluster).await?;
    }
    println!(
        "checkpoint of a cluster to the first ping: {}",
        fine_list(&times)
    );
    let figure = "cluster to the first ping between containers seconds";
    Ok(Figure::new(figure, median(&times), BOUND, 2))
}

async fn stop(cluster: runner::trial::Stopped) -> Result<()> {
    tree::stop(cluster, &[Some("a"), Some("b")]).await
}
