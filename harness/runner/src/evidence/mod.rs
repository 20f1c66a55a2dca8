//! The evidence of trials: files that a trial leaves.
//!
//! | file | subject |
//! |---|---|
//! | `folder` | the evidence folder of one trial |
//! | `record` | what a replay needs |
//! | `snapshot` | the saved machine of a failed trial, and which of them are kept |

mod folder;
mod record;
mod snapshot;

pub use folder::{Evidence, VERSION};
pub(crate) use record::{FileRecord, RECORD, Record, TREE};
pub(crate) use snapshot::{KEY, MACHINE, Part};
pub use snapshot::{LIMIT_MIB, limit, sweep, write_key};
