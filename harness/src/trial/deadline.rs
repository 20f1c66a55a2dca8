//! How long things may take: on the reference host (two cores, emulated), then on this one.

use std::time::{Duration, Instant};

use crate::scenario::{Action, Step};

/// From power-on until the machine is ready.
pub const BOOT: Duration = Duration::from_secs(150);
/// From a login to its verdict, where a step is not about it.
pub const LOGIN: Duration = Duration::from_secs(30);

/// For a guest to come to rest before it is saved.
pub const REST: Duration = Duration::from_secs(10);

/// How long a step may take unless it says.
pub fn of_step(step: &Step) -> Duration {
    let usual = match &step.action {
        Action::Events(_) => 15,
        Action::Ssh(_) | Action::Serial(_) => 60,
        Action::Docker(_) | Action::WaitFor(_) => 90,
        Action::Reboot(_) => 240,
    };
    step.timeout.unwrap_or(Duration::from_secs(usual))
}

/// A moment by which something must have happened.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    ends: Instant,
    limit: Duration,
}

impl Deadline {
    /// So long from now on.
    pub fn within(limit: Duration) -> Self {
        Self {
            ends: Instant::now() + limit,
            limit,
        }
    }

    /// What is left of it.
    pub fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// What was left at its beginning.
    pub fn limit(&self) -> Duration {
        self.limit
    }
}
