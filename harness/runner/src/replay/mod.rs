//! Past trials, for `harness replay` and `harness enter`.
//!
//! | file | subject |
//! |---|---|
//! | `past` | the evidence of a past trial, and how it ended |
//! | `machine` | its failure snapshots |
//! | `restore` | its machines, restored with their networks |
//! | `trial` | the trial as it was recorded |
//! | `artifacts` | whether the same artifacts and images still exist |

mod artifacts;
mod error;
mod machine;
mod past;
mod restore;
mod trial;

pub use error::ReplayError;
pub use past::{PastOutcome, PastTrial};
pub use restore::{RestoreError, Restored, RestoredMachine};

#[cfg(test)]
mod tests;
