//! `ci/bench fork`: what a fork of a ready machine costs, and what it leaves behind.
//!
//! Cold boots and forks of one checkpoint until the first SSH command's output, and until the
//! user's Docker listed its containers ([`latency`]); many forks, after which nothing may be left,
//! and the memory of one ([`leaks`]); the exit status of `true` in a guest, by a fork and by the
//! programs that people would use instead ([`rivals`]). It ends with a line
//! `FIGURE: VALUE (bound BOUND)` for each figure, and with status 1 when one is over.

#[path = "../common/mod.rs"]
mod common;
mod latency;
mod leaks;
mod left;
mod memory;
mod parent;
mod rivals;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use common::Result;
use common::bench::Bench;
use common::figure::Figure;

/// Measures forks of a ready machine: how long, how much memory, what is left.
#[derive(Parser)]
#[command(name = "ci/bench fork")]
struct Options {
    /// Forks whose times are taken; the figures are of their medians
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Cold boots to compare with
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    boots: u16,
    /// Forks after which nothing may be left: so many one after another, and as many 4 at a time
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(4..))]
    forks: u16,
    /// Runs of `true` by each of those that are compared
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only this part; may be given again
    #[arg(long)]
    only: Vec<Part>,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// How long until a fork answers, and a cold boot
    Latency,
    /// What forks leave behind, and their memory
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
