//! Reports of a run for people and programs, each derived from its events alone.
//!
//! | module | subject |
//! |---|---|
//! | `text`, `warnings`, `progress` | a run on a terminal while it runs; `summary` at its end |
//! | `jsonl` | the events as JSON Lines |
//! | `run_log`, `excerpt` | the data that reports are made from: events, and excerpts of evidence |
//! | `run` | the trials of a run, derived from its events |
//! | `history` | the timelines of past boots |
//! | `junit`, `page` | a run as XML and as an HTML page, both functions of the run log alone |
//! | `guest` | reports of hostile guest output, for tests and fuzzing |
//! | `output` | the requested files, and the listener that writes them |

mod excerpt;
pub mod guest;
pub mod history;
mod jsonl;
mod junit;
mod output;
mod page;
mod progress;
mod run;
mod run_log;
mod sink;
mod summary;
mod text;
mod warnings;

pub use history::{History, History as Boots};
pub use output::Outputs;
pub use page::html;
pub use progress::ProgressReporter;
pub use run_log::RunLog;
pub use sink::LineSink;
pub use text::TextReporter;
pub use warnings::Warnings;

#[cfg(test)]
mod tests;
