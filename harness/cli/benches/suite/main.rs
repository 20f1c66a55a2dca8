//! `ci/bench suite`: measures the suite with forks and with cold boots.
//!
//! It runs `harness test` three times with the same trials: with forks and no existing checkpoints,
//! with forks of those checkpoints, and with `--cold` ([`run`]). Verdicts are compared
//! trial by trial. It prints a line `FIGURE: VALUE (bound BOUND)` for each figure, and exits with
//! status 1 if one exceeds its bound.

#[path = "../common/mod.rs"]
mod common;
mod run;
mod table;

use std::process::ExitCode;

use clap::Parser;

use harness::artifacts;
use harness::project;

use common::Result;
use common::figure::Figure;
use run::{How, Tree};

/// The bound of the ratio of the suite with forks to the suite with `--cold`.
const BOUND: f64 = 0.25;

/// Runs the suite with forks and with cold boots, and compares durations and verdicts.
#[derive(Parser)]
#[command(name = "ci/bench suite")]
struct Options {
    /// Only trials whose name (PROFILE::SCENARIO) contains this text
    filter: Option<String>,
    /// Only trials on this profile
    #[arg(long)]
    profile: Option<String>,
    /// Number of trials at a time; the default is the number of cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Added by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    common::run(measure(&options))
}

async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let project = project::find();
    let (_, scenarios) = project.load().map_err(|_| "`harness check` finds errors")?;
    let tree = Tree::new(&project, &artifacts::of_environment(&project)?)?;
    let mut runs = Vec::new();
    for how in [How::Making, How::Forking, How::Cold] {
        eprintln!("running the suite {how}");
        runs.push(tree.run(how, options).await?);
    }
    let [making, forking, cold] = &runs[..] else {
        return Err("a run is missing".into());
    };
    println!("{}", table::text(&runs, &scenarios));
    if let Some(filter) = &options.filter {
        println!("only trials with `{filter}` in their name were run");
    }
    if let Some(profile) = &options.profile {
        println!("only trials on the profile {profile} were run");
    }
    let differ = table::differing(&runs);
    println!(
        "run that creates checkpoints over cold: {:.2}",
        making.seconds / cold.seconds
    );
    Ok(vec![
        Figure::new(
            "suite with forks over cold",
            forking.seconds / cold.seconds,
            BOUND,
            2,
        ),
        Figure::new("trials whose verdicts differ", differ, 0.0, 0),
    ])
}
