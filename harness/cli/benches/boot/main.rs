//! `ci/bench boot`: measures boot times, the time from an edit to its verdict, and artifact sizes.
//!
//! It boots this OS and a Debian with one Docker engine ([`debian`]) in turn ([`cold`]), measures the time
//! from one changed line to the verdict ([`edit`]), and the sizes of the artifacts. It prints a line
//! `FIGURE: VALUE (bound BOUND)` for each figure, and exits with status 1 if one exceeds its bound.

mod cold;
#[path = "../common/mod.rs"]
mod common;
mod debian;
mod edit;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use harness::artifacts;
use harness::project::{self, Project};

use common::Result;
use common::figure::Figure;

/// Measures cold boots, the time from an edit to its verdict, and artifact sizes.
#[derive(Parser)]
#[command(name = "ci/bench boot")]
struct Options {
    /// Boots of each system; the figure is the ratio of their medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Edits; the figure is their median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    edits: u16,
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
    /// Cold boots
    Cold,
    /// The time from an edit to its verdict
    Edit,
    /// The sizes of the artifacts
    Sizes,
}

fn main() -> ExitCode {
    let options = Options::parse();
    common::run(measure(&options))
}

async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let project = project::find();
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let artifacts = artifacts::build(&project)?;
    let mut figures = Vec::new();
    if wanted(Part::Cold) {
        figures.push(cold::measure(&project, &artifacts, options.runs).await?);
    }
    if wanted(Part::Edit) {
        figures.push(edit::measure(&project, options.edits).await?);
    }
    if wanted(Part::Sizes) {
        figures.extend(sizes(&project)?);
    }
    Ok(figures)
}

fn sizes(project: &Project) -> Result<[Figure; 2]> {
    let sizes = images::sizes(project.root())?;
    #[allow(
        clippy::cast_precision_loss,
        reason = "bytes of files, shown with one decimal"
    )]
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    Ok([
        Figure::new(
            "kernel and initrd MB",
            megabytes(sizes.kernel + sizes.initrd),
            95.0,
            1,
        ),
        Figure::new(
            "neither kernel, modules nor Docker MB",
            megabytes(sizes.rest),
            12.0,
            1,
        ),
    ])
}
