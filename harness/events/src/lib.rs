//! The events of a run: the only interface between the runner and the reporters.

mod baseline;
mod event;
mod snapshot_outcome;
mod timeline;

pub use baseline::{Baseline, DurationStats, TrialBaseline};
pub use event::{Event, EventKind, Listener, Listeners, StepHead, Verdict};
pub use snapshot_outcome::SnapshotOutcome;
pub use timeline::{BootStage, BootTimeline};
