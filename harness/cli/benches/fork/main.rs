//! `ci/bench fork`: measures the cost of a fork of a ready machine, and checks that it leaves no resources.
//!
//! It measures cold boots and forks of one checkpoint until the first SSH command's output, and until the
//! user's Docker lists its containers ([`latency`]); checks for leaks after many forks, and the memory of
//! one fork ([`leaks`]); and measures the time to the exit status of `true` in a guest, with a fork and
//! with alternative programs ([`rivals`]). It prints a line `FIGURE: VALUE (bound BOUND)` for each figure,
//! and exits with status 1 if one exceeds its bound.

#[path = "../common/mod.rs"]
mod common;
mod latency;
mod leaks;
mod left;
mod parent;
mod rivals;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use common::Result;
use common::bench::Bench;
use common::figure::Figure;

/// Measures forks of a ready machine: latency, memory, and leaks.
#[derive(Parser)]
#[command(name = "ci/bench fork")]
struct Options {
    /// Measured forks; the figures are their medians
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Cold boots for comparison
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    boots: u16,
    /// Forks of the leak check: this many one after another, and as many 4 at a time
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(4..))]
    forks: u16,
    /// Runs of `true` by each compared program
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
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
    /// The latency of forks and cold boots
    Latency,
    /// Leaks of forks, and their memory
    Leaks,
    /// virtme-ng and vmtest
    Rivals,
}

fn main() -> ExitCode {
    let options = Options::parse();
    common::run(measure(&options))
}

async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let bench = Bench::prepare("bench-fork")?;
    let mut figures = Vec::new();
    let mut boots = Vec::new();
    if wanted(Part::Latency) {
        boots = bench.cold_boots(options.boots).await?;
    }
    let parent = bench.parent().await?;
    if wanted(Part::Latency) {
        figures.extend(latency::measure(&bench, &parent, &boots, options.runs).await?);
    }
    if wanted(Part::Leaks) {
        figures.extend(leaks::measure(&bench, &parent, options.forks).await?);
    }
    if wanted(Part::Rivals) {
        figures.extend(rivals::measure(&bench, &parent, options.rounds).await?);
    }
    Ok(figures)
}
