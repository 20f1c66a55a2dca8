//! What steps share: the machine with its open connections, deadlines, active faults, and the judgement of output.

pub(crate) mod carrier;
mod deadline;
mod failure;
mod faults;
pub(crate) mod judge;
mod networks;
#[allow(clippy::module_inception, reason = "named after the type in it")]
mod session;
mod snapshot;

pub(crate) use deadline::{
    BOOT, Deadline, LOGIN, REST, REVERT, Slowdown, StepTimeout, in_words, scaled,
};
pub(crate) use failure::{FailureKind, StepFailure, indent};
pub(crate) use faults::ActiveFault;
pub(crate) use judge::Wanted;
pub(crate) use networks::Networks;
pub(crate) use session::{Session, for_account};
pub use snapshot::accept_all as accept_snapshots;

#[cfg(test)]
mod tests;
