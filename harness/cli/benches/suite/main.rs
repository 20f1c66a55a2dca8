//! `ci/bench suite`: what the suite takes with forks, and booting every machine.
//!
//! `harness test` runs the same trials in a process of its own: with forks where no checkpoint is
//! there yet, with forks of those checkpoints, and with `--cold` ([`run`]). Verdicts are compared
//! trial by trial. It ends with a line `FIGURE: VALUE (bound BOUND)` for each figure, and with
//! status 1 when one is over.

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

/// Of the suite with forks over the suite with `--cold`.
const BOUND: f64 = 0.25;

/// Runs the suite with forks and booting every machine, and compares times and verdicts.
#[derive(Parser)]
#[command(name = "ci/bench suite")]
struct Options {
    /// Only trials (PROFILE::SCENARIO) with this in their name
    filter: Option<String>,
    /// Only trials on this profile
    #[arg(long)]
    profile: Option<String>,
    /// How many at a time; as many as there are cores unless told
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// What `cargo bench` adds
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
    let tree = Tree::new(&project, &artifacts::obtain(&project)?)?;
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
        "checkpoints made in the run over cold: {:.2}",
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
