//! A trial: one scenario on one profile, from power-on to verdict.
//!
//! Each step runs under [`Machine::fail_fast`](machine::Machine::fail_fast), so a guest panic
//! fails it immediately, and under a deadline. Events are recorded as they happen. The report of a failed trial
//! must explain the failure without a second run.
//!
//! | files | subject |
//! |---|---|
//! | `definition`, `settings`, `failure` | what a trial knows, how it is run, why it did not pass |
//! | `run`, `before` | a whole trial; a trial that stops before a step |
//! | `machines` | the machines of a trial together |
//! | `start`, `ready`, `setups`, `run_steps`, `run_step` | the parts of a trial, in their order |
//! | `checkpoint` | how a trial creates the checkpoints that it forks |
//! | `log`, `outcome`, `record`, `collect`, `keep` | what goes to the listeners and into the evidence |
//! | `report`, `verdict` | the report of a failure; the end of a trial |

mod before;
mod checkpoint;
mod collect;
mod definition;
mod failure;
mod keep;
mod log;
mod machines;
mod outcome;
mod ready;
mod record;
mod report;
mod run;
mod run_step;
mod run_steps;
mod settings;
mod setups;
mod start;
mod timeline;
mod verdict;

pub use before::{Stopped, StoppedMachine};
pub use definition::Trial;
pub use failure::{FailedVerdict, Failure, InfrastructureError};
pub use settings::Settings;

#[cfg(test)]
mod tests;
