//! Runs all trials of a tree with libtest-mimic, for `cargo test --test boot` and `harness test`.
//!
//! `matrix` and `shard` select the trials, `budget` orders them, `trial` runs one trial, and `retry` judges its
//! attempts. [`host::admission`] decides whether this host has the resources for another machine.

mod budget;
mod interrupt;
mod load;
mod matrix;
mod options;
mod prepare;
mod retry;
mod run;
mod shard;
mod trial;

pub use budget::Budget;
pub(crate) use budget::Plan;
pub(crate) use load::load;
pub use load::trials;
pub(crate) use matrix::{nightly, shared_durations};
pub use options::{
    COLD_VARIABLE, FailureOptions, Options, OutputOptions, PartOptions, TrialOptions,
};
pub use run::run;
pub(crate) use run::{exit_status, without_boots};
pub use shard::Shard;
pub(crate) use trial::admit;
