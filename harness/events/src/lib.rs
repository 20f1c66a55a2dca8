//! What happens in a run, as events: the only interface between who runs trials and who reports on them.

mod baseline;
mod event;
mod snapshot_outcome;
mod timeline;

pub use baseline::{Baseline, DurationStats, TrialBaseline};
pub use event::{Event, EventKind, Listener, Listeners, StepHead, Verdict};
pub use snapshot_outcome::SnapshotOutcome;
pub use timeline::{BootStage, BootTimeline};
