//! `ci/bench soak`: the reboots and power cuts of ci/soak.
//!
//! The machine must boot each time and find its previous state. It prints a line
//! `FIGURE: VALUE (bound BOUND)` for each figure, and exits with status 1 if one exceeds its bound.

mod chore;
#[path = "../common/mod.rs"]
mod common;
mod guest;
mod power_cuts;
mod reboots;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tests that take too long for every test run.
#[derive(Parser)]
#[command(name = "ci/soak")]
struct Options {
    #[command(subcommand)]
    part: Part,
    /// Added by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Consecutive reboots with everything enabled, after which the state must be the same
    Reboots {
        /// The number of repetitions
        #[arg(default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
        count: u16,
    },
    /// Power cuts at random moments during work: acknowledged work must persist
    PowerCuts {
        /// The number of repetitions
        #[arg(default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
        count: u16,
        /// The seed of moments and losses; random by default
        #[arg(long)]
        seed: Option<u64>,
    },
}

fn main() -> ExitCode {
    match Options::parse().part {
        Part::Reboots { count } => common::run(reboots::soak(count)),
        Part::PowerCuts { count, seed } => {
            let seed = seed.unwrap_or_else(|| fastrand::u64(..));
            println!("seed: {seed} (repeat with `ci/soak power-cuts {count} --seed {seed}`)");
            common::run(power_cuts::soak(count, seed))
        }
    }
}
