//! Runs scenarios on machines and judges them.
//!
//! A [`Trial`](trial::Trial) is one scenario on one profile. The caller provides the [`Project`] whose
//! files it uses, the artifacts to boot, and the folder for its evidence. A trial emits events to the
//! listeners of its settings. This crate does not print.
//!
//! | folder | subject | uses |
//! |---|---|---|
//! | [`trial`] | what a trial knows, and what is done with it | all but `replay` |
//! | [`replay`] | past trials | `trial`, `evidence` |
//! | [`provision`] | checkpoints: key, store, build, fork | |
//! | `invariants` | what must hold throughout a trial | `steps`, `session` |
//! | `steps` | one file for each kind of step | `session`, `client` |
//! | `session` | what steps share: connections, networks between machines, deadlines, active faults, judgement of output | `client`, `evidence` |
//! | `client` | the computer beside the machine | |
//! | [`evidence`] | the files that a trial leaves | |
//! | [`history`] | durations of passed trials on this host | |

pub mod artifacts;
mod client;
mod content;
pub mod evidence;
pub mod history;
mod invariants;
mod project;
pub mod provision;
pub mod replay;
mod session;
mod spec;
mod steps;
pub mod trial;

pub use client::ClientError;
pub use content::Unreadable;
pub use project::Project;
pub use session::accept_snapshots;
pub use spec::SpecError;
