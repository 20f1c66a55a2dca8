//! What happens in a run, as events: the only interface between who runs trials and who reports on them.

mod baseline;
mod event;
mod fate;
mod ladder;

pub use baseline::{Baseline, DurationStats, TrialBaseline};
pub use event::{Event, Listener, Listeners, StepHead, Verdict, What};
pub use fate::Fate;
pub use ladder::{Ladder, Rung};
