//! `ci/bench cluster`: measures several machines on one network.
//!
//! It measures the time from the checkpoint of a cluster to the first ping between containers of two machines
//! ([`ping`]); the throughput between two machines over the switch and over QEMU's own socket network
//! ([`throughput`]); the private memory of a machine of a cluster and of one alone; and the duration of the same
//! steps on two forks and on one ([`steps`]). It prints a line `FIGURE: VALUE (bound BOUND)` for each figure,
//! and exits with status 1 if one exceeds its bound.

#[path = "../common/mod.rs"]
mod common;
mod ping;
mod steps;
mod throughput;
mod tree;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use common::Result;
use common::figure::Figure;
use tree::Tree;

/// Measures several machines on one network: first ping, throughput, memory, steps.
#[derive(Parser)]
#[command(name = "ci/bench cluster")]
struct Options {
    /// Measured runs of each part; the figures are medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Only this part; can be repeated
    #[arg(long)]
    only: Vec<Part>,
    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// The parts of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The first ping between containers
    Ping,
    /// The throughput between two machines
    Throughput,
    /// The same steps on two machines and on one, and the memory of a machine
    Steps,
}

fn main() -> ExitCode {
    let options = Options::parse();
    common::run(measure(&options))
}

async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let tree = Tree::find()?;
    let mut figures = Vec::new();
    if wanted(Part::Ping) {
        figures.push(ping::measure(&tree, options.runs).await?);
    }
    if wanted(Part::Throughput) {
        figures.push(throughput::measure(&tree, options.runs).await?);
    }
    if wanted(Part::Steps) {
        figures.extend(steps::measure(&tree, options.runs).await?);
    }
    Ok(figures)
}
