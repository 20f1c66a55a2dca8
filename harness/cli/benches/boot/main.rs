//! `ci/bench boot`: what a boot costs, and how long a change takes to be judged.
//!
//! Cold boots of this OS and of a Debian with one Docker, made here ([`debian`]), in turn
//! ([`cold`]); one changed line until the verdict ([`edit`]); what the artifacts weigh. It ends
//! with a line `FIGURE: VALUE (bound BOUND)` for each figure, and with status 1 when one is over.

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

/// Measures cold boots, one edit until its verdict, and sizes.
#[derive(Parser)]
#[command(name = "ci/bench boot")]
struct Options {
    /// Boots of each system; the figure is of their medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Edits; the figure is their median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    edits: u16,
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
    /// Cold boots
    Cold,
    /// One edit until the verdict
    Edit,
    /// What the artifacts weigh
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
