//! `ci/bench soak`: the reboots and power cuts of ci/soak.
//!
//! Every one must boot, and find what was there before. It ends with a line
//! `FIGURE: VALUE (bound BOUND)` for each figure, and with status 1 when one is over.

mod chore;
#[path = "../common/mod.rs"]
mod common;
mod guest;
mod power_cuts;
mod reboots;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What takes too long for every test run.
#[derive(Parser)]
#[command(name = "ci/soak")]
struct Options {
    #[command(subcommand)]
    part: Part,
    /// What `cargo bench` adds
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Reboots in a row with everything enabled: nothing may differ afterwards
    Reboots {
        /// How many
        #[arg(default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
        count: u16,
    },
    /// Power cuts at random moments, while there is work: what was acknowledged must be there
    PowerCuts {
        /// How many
        #[arg(default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
        count: u16,
        /// What moments and losses are drawn from; drawn itself unless told
        #[arg(long)]
        seed: Option<u64>,
    },
}

fn main() -> ExitCode {
    match Options::parse().part {
        Part::Reboots { count } => common::run(reboots::soak(count)),
        Part::PowerCuts { count, seed } => {
            let seed = seed.unwrap_or_else(|| fastrand::u64(..));
            println!(
                "seed: {seed} (`ci/soak power-cuts {count} --seed {seed}` draws from it again)"
            );
            common::run(power_cuts::soak(count, seed))
        }
    }
}
