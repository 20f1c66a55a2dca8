//! The time from the checkpoint of a cluster to the first ping between containers of two machines.

use std::time::Instant;

use crate::common::Result;
use crate::common::figure::{Figure, fine_list, median};
use crate::tree::{self, Tree};

/// The bound in seconds, emulated.
const BOUND: f64 = 3.0;

/// A scenario on the cluster of `scenarios/setups/flannel.yaml`, which has a container `shop` on each machine. The
/// benchmark ends before the second step.
fn scenario(first: &str) -> String {
    format!(
        "name: ping\nabout: The measured ping.\nsetup: flannel\nsteps:\n  - on: a\n    {first}\n  - on: a\n    ssh: {{ run: 'true' }}\n"
    )
}

pub(crate) async fn measure(tree: &Tree, runs: u16) -> Result<Figure> {
    // Also creates the checkpoint if it does not exist.
    let trial = tree.own_trial("ping", &scenario("ssh: { run: 'true' }"))?;
    let cluster = tree.start(&trial, 1).await?;
    let ssh = tree::log_in(&cluster, Some("a")).await?;
    let other = tree::run(&ssh, "wget -qO - http://b:8000/shop").await?;
    stop(cluster).await?;
    let ping = format!(
        "docker: {{ engine: user, exec: {{ container: shop, command: [busybox, ping, -c, '1', -W, '30', {other}] }} }}"
    );
    let trial = tree.own_trial("ping", &scenario(&ping))?;
    let (mut forks, mut pings) = (Vec::new(), Vec::new());
    for number in 1..=runs {
        for (before, times) in [(1, &mut forks), (2, &mut pings)] {
            let begin = Instant::now();
            let cluster = tree.start(&trial, before).await?;
            times.push(begin.elapsed().as_secs_f64());
            stop(cluster).await?;
        }
        eprintln!("cluster {number} of {runs}");
    }
    println!(
        "checkpoint of a cluster to both machines ready: {}",
        fine_list(&forks)
    );
    println!("and to the first ping: {}", fine_list(&pings));
    let figure = "cluster to the first ping between containers seconds";
    Ok(Figure::new(figure, median(&pings), BOUND, 2))
}

async fn stop(cluster: runner::trial::Stopped) -> Result<()> {
    tree::stop(cluster, &[Some("a"), Some("b")]).await
}
