//! Past trials, for `harness replay` and `harness enter`.
//!
//! | file | subject |
//! |---|---|
//! | `past` | the evidence of a past trial, and how it ended |
//! | `machine` | its failure snapshot |
//! | `trial` | the trial as it was recorded |
//! | `artifacts` | whether the same artifacts and images still exist |

mod artifacts;
mod error;
mod machine;
mod past;
mod trial;

pub use error::ReplayError;
pub use past::{PastOutcome, PastTrial};

#[cfg(test)]
mod tests;
