//! The options of `harness prove`.

use clap::Args;

use crate::suite::{PartOptions, TrialOptions};

/// The options of a run of proofs.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Use this profile instead of the first profile of each scenario
    #[arg(long)]
    pub profile: Option<String>,
    /// How trials are run.
    #[command(flatten)]
    pub trial: TrialOptions,
    /// The part to run.
    #[command(flatten)]
    pub part: PartOptions,
}
