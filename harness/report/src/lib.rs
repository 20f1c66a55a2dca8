//! What people and programs see of a run, each made of the one stream of [events](events).
//!
//! | file | subject |
//! |---|---|
//! | `lines`, `warnings` | stderr |
//! | `stream` | the events as JSON |
//! | `journal`, `taken` | what is remembered of a run: events, and what its evidence held |
//! | `run` | the trials of a run, as the events tell of them |
//! | `history` | how boots went before |
//! | `junit`, `page` | a run as XML and as a page, both functions of the journal alone |
//! | `guest` | reports of what a guest chose to say, for tests and fuzzing |
//! | `output` | which files are asked for, and who writes them |

pub mod guest;
pub mod history;
mod journal;
mod junit;
mod lines;
mod live;
mod output;
mod page;
mod run;
mod sink;
mod stream;
mod summary;
mod taken;
mod warnings;

pub use history::{History, History as Boots};
pub use journal::Journal;
pub use lines::Lines;
pub use live::Live;
pub use output::Outputs;
pub use page::html;
pub use sink::LineSink;
pub use warnings::Warnings;

#[cfg(test)]
mod tests;
